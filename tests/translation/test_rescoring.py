"""Rescoring: the beam in the order of the mean of two models' scores, one of which may write from right to left."""

import dataclasses
import logging

import numpy as np
import pytest
from small_translators import make_translator, true_log_probs

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.search.search import inverse_length_penalties
from tfmr.translation import Translator
from tfmr.translation.rescoring import Rescored

BEAM = DecodingConfig(beam_size=4, extra_length=4, length_penalty="power", alpha=1.0)
LINES = ["abc", "", "jihg", "cabbage", "def"]


def right_to_left(translator: Translator) -> Translator:
    tokenizer = translator.tokenizer.from_right_to_left()
    return Translator(translator.model, translator.params, tokenizer, translator.config)


@pytest.fixture(scope="module")
def first():
    return make_translator(BEAM)


@pytest.fixture(scope="module")
def second():
    return make_translator(BEAM, seed=1)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_order_is_that_of_the_weighted_mean(first, second, weight):
    found = Rescored(first, second, weight).n_best(LINES, 4)
    alone = first.n_best(LINES, 4)
    assert found[1] == []
    for line, hypotheses, before in zip(LINES, found, alone, strict=True):
        scores = {hypothesis.text: hypothesis.score for hypothesis in before}
        for hypothesis in hypotheses:
            [other] = second.score([line], [hypothesis.text])
            mean = (1 - weight) * scores[hypothesis.text] + weight * other.score
            assert hypothesis.score == pytest.approx(mean, abs=1e-5)
        means = [hypothesis.score for hypothesis in hypotheses]
        assert means == sorted(means, reverse=True)
    if weight == 0:
        assert found == alone
    else:
        assert [each[0] for each in found if each] != [each[0] for each in alone if each]


def test_a_model_from_right_to_left_scores_the_reversed_tokens(first, second):
    other = right_to_left(second)
    line, text = "cabbage", "deaf"
    source = [*second.tokenizer.encode(line), EOS_ID]
    reversed_target = [*reversed(second.tokenizer.encode(text)), EOS_ID]
    [score] = other.score([line], [text])
    assert score.tokens == reversed_target
    expected = true_log_probs(second, source, reversed_target).sum()
    assert score.log_prob == pytest.approx(expected, abs=1e-4)
    assert score.log_prob != pytest.approx(second.score([line], [text])[0].log_prob, abs=1e-2)
    penalty = inverse_length_penalties(BEAM, len(reversed_target))[-1]
    ranked = Rescored(first, other, 1.0).n_best([line], 4)[0]
    for hypothesis in ranked:
        tokens = [*reversed(second.tokenizer.encode(hypothesis.text)), EOS_ID]
        log_prob = true_log_probs(second, source, tokens).sum()
        if len(tokens) == len(reversed_target):
            assert hypothesis.score == pytest.approx(log_prob * penalty, abs=1e-4)
    assert len(ranked) == 4


def test_a_model_from_right_to_left_writes_text_in_the_usual_order(second):
    other = right_to_left(second)
    for usual, turned in zip(second.n_best(LINES, 2), other.n_best(LINES, 2), strict=True):
        assert [hypothesis.tokens for hypothesis in usual] == [hypothesis.tokens for hypothesis in turned]
        assert [hypothesis.text[::-1] for hypothesis in usual] == [hypothesis.text for hypothesis in turned]


def test_the_direction_is_part_of_the_tokenizer(second):
    turned = second.tokenizer.from_right_to_left()
    again = Tokenizer.from_json(turned.to_json())
    assert again.tags.right_to_left
    assert again.to_json() == turned.to_json() != second.tokenizer.to_json()
    assert not again.has_tokens_of(second.tokenizer)
    assert again.encode("abc") == second.tokenizer.encode("abc")
    with pytest.raises(InputError, match="different tokenizers and cannot form an ensemble"):
        Translator.ensemble([second, right_to_left(second)])


def test_words_and_prefixes_are_refused_from_right_to_left(second):
    other = right_to_left(second)
    with pytest.raises(InputError, match=r"line 1: the prefix 'ab': cannot be used with this run, which writes from r"):
        other.translate(["a"], ["ab"])
    with pytest.raises(InputError, match=r"decoding.forbidden and decoding.required: cannot be used with this run"):
        other.with_config(DecodingConfig(forbidden=("a",), required=("b",)))


def test_a_line_that_the_other_model_cannot_score_keeps_its_order(first, second, caplog):
    short = second.with_config(dataclasses.replace(BEAM, max_source_length=5))
    with caplog.at_level(logging.WARNING, "tfmr"):
        found = Rescored(first, short, 1.0).n_best(LINES, 4)
    assert found[3] == first.n_best(LINES, 4)[3]
    assert found[0] == Rescored(first, second, 1.0).n_best(LINES, 4)[0]
    assert "skipped" in caplog.text


def test_mistakes_are_one_line(first, second):
    for weight in (-0.1, 1.5, np.nan):
        with pytest.raises(InputError, match=r"--rescore-weight = .*must be from 0 to 1"):
            Rescored(first, second, weight)
    with pytest.raises(InputError, match="5 translations of each line: must be at most 4"):
        Rescored(first, second).n_best(["a"], 5)
