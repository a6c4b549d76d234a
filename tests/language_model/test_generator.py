"""Generating: against the model without a cache, whatever stands beside a text, however its pieces are cut."""

import dataclasses
import functools
import string
import unicodedata

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import random_parameters
from scipy.stats import chisquare

from tfmr.config import CausalLMConfig, GenerationConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.language_model import Generator, TextRequest
from tfmr.language_model.streamed_text import StreamedText
from tfmr.models import CausalLM

TOKENIZER = Tokenizer.train("characters", [string.ascii_lowercase + " \n"], 100)
CONTEXT = 24
CONFIG = CausalLMConfig(
    vocab_size=TOKENIZER.vocab_size,
    num_layers=2,
    d_model=16,
    d_ff=24,
    num_heads=2,
    d_k=8,
    d_v=8,
    max_length=CONTEXT,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
)
PROMPTS = ["a", "the old ", "w", "zebra ", "lion and l", "x y z", "mmmm", "q"]
GREEDY = GenerationConfig(temperature=0.0, max_new_tokens=12)


@functools.cache
def params():
    # Larger than usual, so that no two tokens are nearly as probable.
    return random_parameters(CausalLM(CONFIG), jnp.zeros((1, 4), jnp.int32))


def generator(config=GREEDY, **options) -> Generator:
    return Generator(CausalLM(CONFIG), params(), TOKENIZER, config, **options)


@jax.jit
def logits_of(params, tokens):
    return CausalLM(CONFIG).apply({"params": params}, tokens)


@functools.cache
def log_probs_after(tokens: tuple[int, ...]):
    """What follows some tokens, by the model without a cache; what stands behind them is not seen."""
    row = np.zeros((1, CONTEXT), np.int32)
    row[0, : len(tokens)] = tokens
    logits = np.asarray(logits_of(params(), row)[0, len(tokens) - 1], np.float64)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def greedy_by_hand(tokens, number, may_end=False, window=False):
    """The most probable token again and again; with a window, from the last half of the context once it is full."""
    never = [PAD_ID, UNK_ID, BOS_ID, *([] if may_end else [EOS_ID])]
    tokens, start, total, written = list(tokens), 0, 0.0, []
    while len(written) < number and written[-1:] != [EOS_ID]:
        if window and len(tokens) - start > CONTEXT:
            start = len(tokens) - CONTEXT // 2
        log_probs = log_probs_after(tuple(tokens[start:])).copy()
        log_probs[never] = -np.inf
        written.append(int(log_probs.argmax()))
        total += log_probs.max()
        tokens.append(written[-1])
    return tuple(written), total


def test_greedy_with_a_cache_is_greedy_without():
    for prompt, (found,) in zip(PROMPTS, generator().generate(PROMPTS), strict=True):
        tokens, log_prob = greedy_by_hand(TOKENIZER.encode(prompt), 12)
        assert found.tokens == tokens
        assert found.log_prob == pytest.approx(log_prob, rel=1e-4)
        assert (found.text, found.ending) == (TOKENIZER.decode(tokens), "length")


def test_the_end_mark_ends_a_document_and_an_empty_prompt_begins_one():
    config = dataclasses.replace(GREEDY, max_new_tokens=CONTEXT - 8)
    prompts = ["", *PROMPTS[:2]]
    endings = []
    for prompt, (found,) in zip(prompts, generator(config, has_documents=True).generate(prompts), strict=True):
        tokens, _ = greedy_by_hand([BOS_ID, *TOKENIZER.encode(prompt)], CONTEXT - 8, may_end=True)
        assert found.tokens == tokens
        assert found.text == TOKENIZER.decode(tokens)
        endings.append(found.ending == "end")
        assert endings[-1] == (tokens[-1] == EOS_ID)


@pytest.mark.parametrize("temperature", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
def test_a_text_depends_on_nothing_beside_it(temperature):
    config = dataclasses.replace(GREEDY, temperature=temperature, seed=3)
    together = generator(config).generate(PROMPTS, samples=2)
    few = generator(dataclasses.replace(config, batch_size=3)).generate(PROMPTS[::-1], samples=2)[::-1]
    alone = [generator(config).generate([prompt], samples=2)[0] for prompt in PROMPTS]
    texts = [[[one.text for one in samples] for samples in each] for each in (together, few, alone)]
    assert texts[0] == texts[1] == texts[2]
    assert all((first == second) == (temperature == 0) for first, second in texts[0])
    assert generator(config).generate(PROMPTS[:1])[0][0].text == texts[0][0][0]


def test_a_full_context_is_halved_where_that_is_asked_for():
    config = dataclasses.replace(GREEDY, max_new_tokens=40, window=True)
    prompts = ["abc", "a prompt that is longer than the context of the model", "q" * 23]
    for prompt, (found,) in zip(prompts, generator(config).generate(prompts), strict=True):
        assert found.tokens == greedy_by_hand(TOKENIZER.encode(prompt), 40, window=True)[0]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a" * 14, "prompt 2: 14 tokens and max_new_tokens = 12 exceed the model's context of 24; set window"),
        ("a1b", "prompt 2: the tokenizer does not know '1'"),
        ("", "prompt 2: must not be empty, as the model was not trained on documents"),
    ],
)
def test_what_is_refused(prompt, message):
    with pytest.raises(InputError, match=message):
        generator().stream(["a" * 13, prompt])


@pytest.mark.parametrize(
    "rules", [dict(temperature=0.7), dict(temperature=1.5, top_k=5), dict(top_p=0.6), dict(min_p=0.2)]
)
def test_tokens_come_as_often_as_they_are_probable(rules):
    number = 1500
    config = GenerationConfig(max_new_tokens=1, batch_size=number, **rules)
    (samples,) = generator(config).generate(["the"], samples=number)
    drawn = np.bincount([sample.tokens[0] for sample in samples], minlength=TOKENIZER.vocab_size)
    log_probs = log_probs_after(tuple(TOKENIZER.encode("the")))
    logits = log_probs / config.temperature
    logits[[PAD_ID, UNK_ID, BOS_ID, EOS_ID]] = -np.inf
    probabilities = np.exp(logits) / np.exp(logits).sum()
    order = np.argsort(-probabilities)
    kept = {
        "top_k": order[: config.top_k],
        "top_p": order[: 1 + np.searchsorted(np.cumsum(probabilities[order]), config.top_p)],
        "min_p": np.flatnonzero(probabilities >= config.min_p * probabilities.max()),
        "temperature": order[probabilities[order] > 0],
    }[list(rules)[-1]]
    probabilities = probabilities[kept] / probabilities[kept].sum()
    assert drawn[kept].sum() == number
    often = number * probabilities >= 5
    expected = np.append(number * probabilities[often], max(number * probabilities[~often].sum(), 1e-9))
    found = np.append(drawn[kept][often], drawn[kept][~often].sum())
    assert chisquare(found, expected * number / expected.sum()).pvalue > 1e-4
    for sample in samples[:5]:
        assert sample.log_prob == pytest.approx(log_probs[sample.tokens[0]], abs=1e-4)


def test_a_text_stops_before_what_ends_it_and_comes_in_pieces():
    whole = generator().generate(["the old "])[0][0].text
    stop = whole[5:8]
    config = dataclasses.replace(GREEDY, stop=("nowhere", stop))
    pieces = list(generator(config).stream(["the old "]))
    assert len(pieces) > 3
    assert "".join(piece.text for piece in pieces) == whole[: whole.index(stop)]
    assert [piece.continuation is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1].continuation
    assert last is not None
    assert (last.text, last.ending) == (whole[: whole.index(stop)], "stop")


def test_prompts_and_what_ends_a_text_are_read_in_any_unicode_form():
    tokenizer = Tokenizer.train(
        "characters", [string.ascii_lowercase.replace("z", "é") + " \n"], 100, running_text=True
    )

    def text(prompt: str, *stop: str) -> str:
        config = dataclasses.replace(GREEDY, stop=stop)
        return Generator(CausalLM(CONFIG), params(), tokenizer, config).generate([prompt])[0][0].text

    whole = text("thé old ")
    [accented] = {letter for letter in whole if letter == "é"}
    assert text("\ufeffthe\u0301 old ") == whole
    assert text("thé old ", unicodedata.normalize("NFD", accented)) == whole[: whole.index(accented)]


class TestStreamedText:
    TEXT = "Größe ☃ and aab, no end"

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
    @pytest.mark.parametrize("stop", [(), ("aab",), ("ab", "aab"), ("no end!",), ("☃",)])
    def test_any_pieces_give_the_same_text(self, size, stop):
        content = self.TEXT.encode()
        stream, parts = StreamedText(stop), []
        for start in range(0, len(content), size):
            parts.append(stream.add(content[start : start + size]))
        parts.append(stream.finish())
        ends = [self.TEXT.index(text) for text in stop if text in self.TEXT]
        assert "".join(parts) == self.TEXT[: min(ends, default=None)]
        assert stream.stopped == bool(ends)

    def test_text_comes_as_soon_as_it_is_certain(self):
        stream = StreamedText(("abc",))
        assert [stream.add(bytes([byte])) for byte in b"xabab" + "ö".encode()] == ["x", "", "", "ab", "", "", "abö"]

    def test_half_a_character_at_the_end_is_shown_as_such(self):
        stream = StreamedText()
        assert stream.add("ö".encode()[:1]) == ""
        assert stream.finish() == "\ufffd"


def test_texts_that_are_generated_together_are_those_generated_alone():
    configs = [
        GenerationConfig(temperature=0.0, max_new_tokens=9),
        GenerationConfig(temperature=1.3, max_new_tokens=12, seed=7),
        GenerationConfig(temperature=0.7, top_p=0.6, max_new_tokens=5, seed=2**31 + 3),
        GenerationConfig(temperature=2.0, max_new_tokens=12, seed=7, stop=("a", "e")),
    ]
    pairs = list(zip([*PROMPTS[:3], PROMPTS[1]], configs, strict=True))
    requests = [TextRequest(prompt, config, sample) for prompt, config in pairs for sample in (0, 1)]
    steps = list(generator(GREEDY).stream_together(requests))
    together = {piece.prompt: piece.continuation for pieces in steps for piece in pieces if piece.continuation}
    alone = [each for prompt, config in pairs for each in generator(config).generate([prompt], samples=2)[0]]
    for index, continuation in enumerate(alone):
        assert together[index].tokens == continuation.tokens
        assert (together[index].text, together[index].ending) == (continuation.text, continuation.ending)
        assert together[index].log_prob == pytest.approx(continuation.log_prob, rel=1e-4)
        pieces = [piece.text for step in steps for piece in step if piece.prompt == index]
        assert "".join(pieces) == continuation.text
    assert len({each.text for each in alone}) > 5


def test_a_text_that_is_not_wanted_any_more_is_ended():
    requests = [TextRequest(prompt, GREEDY) for prompt in PROMPTS[:2]]
    wanted = [True, True]
    lengths = [0, 0]
    for pieces in generator().stream_together(requests, lambda index: wanted[index]):
        for piece in pieces:
            lengths[piece.prompt] += 1
        wanted[0] = lengths[0] < 3
    assert lengths == [3, GREEDY.max_new_tokens]


def test_together_only_what_is_an_array_may_differ():
    for setting in ({"top_k": 3}, {"min_p": 0.1}, {"window": True}):
        config = GenerationConfig(max_new_tokens=3, **setting)
        with pytest.raises(InputError, match=f"{next(iter(setting))} = .*not supported"):
            generator().stream_together([TextRequest("a", config)])
