"""What users ask of translations, from text to text: words, prefixes, lengths, several of them, samples."""

import dataclasses
import itertools
import logging
import random
import re

import pytest
from small_translators import make_translator

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.errors import InputError
from tfmr.translation import Hypothesis

LETTERS = "abcde "
LINES = ["abc de", "c", "dead bee", "a b c d e", "edcba", "bad cab"]
BEAM = DecodingConfig(beam_size=3, extra_length=8, min_length=6)
SAMPLES = DecodingConfig(beam_size=1, extra_length=4, min_length=4, sampling=SamplingConfig(temperature=1.0))


def translator(config=BEAM, **changes):
    return make_translator(dataclasses.replace(config, **changes), LETTERS, num_decoder_layers=1)


@pytest.fixture(scope="module")
def plain():
    return translator().translate(LINES)


def test_a_word_that_a_translation_has_can_be_forbidden(plain):
    words = {word for text in plain for word in re.findall(r"\w+", text)}
    without = translator(forbidden=tuple(sorted(words))).translate(LINES)
    assert words
    assert not {word for text in without for word in re.findall(r"\w+", text)} & words
    assert all(without)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_required_words_stand_in_every_translation(plain, beam_size):
    found = translator(beam_size=beam_size, required=("cab", "e")).translate(LINES)
    for text in found:
        assert {"cab", "e"} <= set(re.findall(r"\w+", text))
    assert found != plain


@pytest.mark.parametrize("beam_size", [1, 3])
def test_words_are_followed_where_the_model_has_more_tokens_than_the_tokenizer(beam_size):
    config = dataclasses.replace(BEAM, beam_size=beam_size, required=("cab",), forbidden=("e",))
    for text in make_translator(config, LETTERS, vocab_size=40, num_decoder_layers=1).translate(LINES):
        words = re.findall(r"\w+", text)
        assert "cab" in words
        assert "e" not in words


def test_prefixes_begin_the_translations_that_have_one(plain):
    prefixes = ["ab", "", "e e", "", "d", ""]
    found = translator().translate(LINES, prefixes)
    for text, prefix, free in zip(found, prefixes, plain, strict=True):
        assert text.startswith(prefix) if prefix else text == free


def test_more_translations_leave_the_first_as_they_are(plain):
    every = translator().n_best(LINES, 3)
    assert [hypotheses[0].text for hypotheses in every] == plain
    assert [hypotheses[:2] for hypotheses in every] == translator().n_best(LINES, 2)
    for hypotheses in every:
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == 3


def test_an_empty_line_has_no_translations():
    found = translator().n_best(["", *LINES, " ", "\u200b\u00ad", "\ufeff"], 2)
    assert [found[0], *found[-3:]] == [[], [], [], []]
    assert all(found[1:-3])


def test_texts_are_distinct_unless_hypotheses_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    beam = [Hypothesis(text, -float(i), (4 + i, 3)) for i, text in enumerate("aabacb")]

    def searched(config: DecodingConfig, number: int, **options) -> list[Hypothesis]:
        each = translator(config)
        monkeypatch.setattr(each, "_translate_window", lambda pairs, first, wanted: [beam[:wanted] for _ in pairs])
        (found,) = each.n_best(["a"], number, **options)
        return found

    wide = dataclasses.replace(BEAM, beam_size=6)
    distinct = [beam[0], beam[2], beam[4]]
    for number in (1, 2, 3, 6):  # the beam has other texts for those that are left out
        assert searched(wide, number) == distinct[:number]
        assert searched(wide, number, distinct=False) == beam[:number]
    assert searched(SAMPLES, 4) == beam[:4]  # as drawn


def test_samples_depend_on_seed_and_line_alone():
    lines = [random.Random(i).choice(LINES) for i in range(16)]

    def draw(number, **changes):
        drawn = translator(SAMPLES, **changes).n_best(lines, number)
        return [[sample.text for sample in samples] for samples in drawn]

    first = draw(4)
    assert first == draw(4, batch_size=3)
    assert [samples[:2] for samples in first] == draw(2)
    assert first != draw(4, sampling=dataclasses.replace(SAMPLES.sampling, seed=1))
    assert len({text for samples in first for text in samples}) > 20
    assert translator(SAMPLES).translate(lines) == [samples[0] for samples in first]


@pytest.mark.parametrize(
    ("changes", "prefix", "message"),
    [
        ({"min_length": 0, "max_length": 4}, "abcd", r"line 1: its prefix 'abcd': 5 tokens, .* limited to 4; raise"),
        (
            {"min_length": 0, "max_length": 4, "required": ("abcd",)},
            "",
            r"line 1: the required words .* 6 tokens, .* limited to 4",
        ),
        ({}, "xyz", r"line 1: the prefix 'xyz': cannot be written because the tokenizer does not know"),
        ({"forbidden": ("ab",)}, "ab", r"line 1: the prefix 'ab' contains a word from decoding.forbidden"),
    ],
)
def test_a_rule_that_cannot_be_met_is_told_before_any_work(changes, prefix, message, monkeypatch):
    each = translator(**changes)
    monkeypatch.setattr(each, "_search", None)
    with pytest.raises(InputError, match=message):
        each.translate(["abc de"], [prefix])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"required": ("xyz",)}, "decoding.required 'xyz': cannot be written"),
        (
            {"required": ("a b",), "forbidden": ("b",)},
            "decoding.required: 'a b' contains a word from decoding.forbidden",
        ),
    ],
)
def test_words_that_cannot_be_written_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        translator(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_length": 5, "max_length": 4}, "decoding.min_length = 5: must be at most decoding.max_length = 4"),
        ({"required": ("a",), "forbidden": ("a",)}, "cannot also be in decoding.forbidden"),
        ({"forbidden": (" ",)}, "decoding.forbidden .* contains an empty word"),
        ({"coverage_penalty": -0.1}, "decoding.coverage_penalty = -0.1: must be 0 or greater"),
        ({"sampling": SamplingConfig(temperature=1.0), "diversity": 0.5}, "cannot be combined with"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        DecodingConfig(**changes)


def test_sampling_rules_without_a_temperature_are_refused():
    with pytest.raises(InputError, match=r"sampling\.temperature = 0.0: must be greater than 0 for top_k and top_p"):
        SamplingConfig(top_k=3, top_p=0.9)


def test_too_many_translations_are_refused():
    with pytest.raises(InputError, match=r"4 translations of each line: must be at most decoding.beam_size = 3"):
        translator().n_best(["ab"], 4)


def test_a_line_that_no_output_can_answer_stays_empty_and_is_named(caplog):
    # Left to write are a space and the unknown token, neither of them twice, and three tokens before the end.
    words = tuple("".join(word) for size in (1, 2, 3) for word in itertools.permutations(LETTERS.strip(), size))
    with caplog.at_level(logging.WARNING, logger="tfmr"):
        config = dict(forbidden=words, min_length=4, max_length=4, no_repeat_ngram=1)
        found = translator(**config).translate(["ab", "", "c"])
    assert found == ["", "", ""]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["line 1", "line 3"]
