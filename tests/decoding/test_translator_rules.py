"""What users ask of translations, from text to text: words, prefixes, lengths, several of them, samples."""

import dataclasses
import logging
import random

import pytest
from small_translators import make_translator

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.errors import InputError

LETTERS = "abcde "
LINES = ["abc de", "c", "dead bee", "a b c d e", "edcba", "bad cab"]
BEAM = DecodingConfig(beam_size=3, extra_length=6)
SAMPLES = DecodingConfig(beam_size=1, extra_length=4, sampling=SamplingConfig(temperature=1.0))


def translator(config=BEAM, **changes):
    return make_translator(dataclasses.replace(config, **changes), LETTERS)


@pytest.fixture(scope="module")
def plain():
    return translator().translate(LINES)


def test_a_word_that_a_translation_has_can_be_forbidden(plain):
    words = sorted({word for text in plain for word in text.split(" ") if word})
    without = translator(forbidden=tuple(words)).translate(LINES)
    assert not {word for text in without for word in text.split(" ")} & set(words)
    assert all(without)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_required_words_stand_in_every_translation(plain, beam_size):
    found = translator(beam_size=beam_size, required=("cab", "e")).translate(LINES)
    for text in found:
        assert {"cab", "e"} <= set(text.split(" "))
    assert found != plain


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
    assert translator().n_best(["", "ab", " "], 2)[::2] == [[], []]


def test_samples_depend_on_seed_and_line_alone():
    lines = [random.Random(i).choice(LINES) for i in range(20)]
    first = translator(SAMPLES).n_best(lines, 4)
    assert first == translator(SAMPLES, batch_size=3).n_best(lines, 4)
    assert [samples[:2] for samples in first] == translator(SAMPLES).n_best(lines, 2)
    other = dataclasses.replace(SAMPLES.sampling, seed=1)
    assert first != translator(SAMPLES, sampling=other).n_best(lines, 4)
    assert len({sample.text for samples in first for sample in samples}) > 20
    assert translator(SAMPLES).translate(lines) == [samples[0].text for samples in first]


@pytest.mark.parametrize(
    ("changes", "prefix", "message"),
    [
        ({"max_length": 4}, "abcd", r"line 1: its prefix 'abcd' needs 5 tokens, .* may have 4"),
        ({"max_length": 4, "required": ("abcd",)}, "", r"line 1: the required words .* 6 tokens, .* may have 4"),
        ({}, "xyz", r"line 1: the prefix 'xyz': cannot be written, the tokenizer does not know"),
        ({"forbidden": ("ab",)}, "ab", r"line 1: the prefix 'ab' holds a word of decoding.forbidden"),
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
        ({"required": ("a b",), "forbidden": ("b",)}, "decoding.required: 'a b' holds a word of decoding.forbidden"),
    ],
)
def test_words_that_cannot_be_written_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        translator(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_length": 5, "max_length": 4}, "decoding.min_length = 5: is above max_length = 4"),
        ({"required": ("a",), "forbidden": ("a",)}, "cannot be forbidden too"),
        ({"forbidden": (" ",)}, "decoding.forbidden .* holds an empty word"),
        ({"coverage_penalty": -0.1}, "decoding.coverage_penalty = -0.1: must be 0 or more"),
        ({"sampling": SamplingConfig(temperature=1.0), "diversity": 0.5}, "goes not with"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        DecodingConfig(**changes)


def test_sampling_rules_without_a_temperature_are_refused():
    with pytest.raises(InputError, match="top_k and top_p do nothing without a temperature"):
        SamplingConfig(top_k=3, top_p=0.9)


def test_too_many_translations_are_refused():
    with pytest.raises(InputError, match=r"4 translations of each line: decoding.beam_size = 3"):
        translator().n_best(["ab"], 4)


def test_a_line_that_no_output_can_answer_stays_empty_and_is_named(caplog):
    # All that could be written is forbidden, and the end may not come yet.
    letters = tuple(LETTERS.strip())
    words = (*letters, *(a + b for a in letters for b in letters))
    with caplog.at_level(logging.WARNING, logger="tfmr"):
        found = translator(forbidden=words, min_length=2, max_length=3).translate(["ab", "", "c"])
    assert found == ["", "", ""]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["line 1", "line 3"]
