"""Minimum Bayes risk: the chosen sample has the highest mean score with all samples as references."""

import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from small_translators import make_translator

from tfmr.config import DecodingConfig, SamplingConfig
from tfmr.errors import InputError
from tfmr.translation.mbr import MinimumBayesRisk, bleu_utilities, chrf_utilities, sampling_config

SAMPLING = DecodingConfig(extra_length=4, sampling=SamplingConfig(temperature=1.0, seed=5))
LINES = ["abc", "", "jihg", "cab"]
SAMPLES = 12


def texts(number=14):
    """Returns different texts, from empty to long, which share some words."""
    generator = random.Random(0)
    words = ["Katze", "Hund,", "schläft.", "a", "die", "漢字"]
    return ["", "a", "aa"] + [" ".join(generator.choices(words, k=generator.randint(1, 9))) for _ in range(number)]


@pytest.mark.parametrize(
    ("utilities", "metric"), [(chrf_utilities, CHRF()), (bleu_utilities("13a"), BLEU(effective_order=True))]
)
def test_utilities_are_those_of_sacrebleu(utilities, metric):
    expected = [[metric.sentence_score(text, [reference]).score for reference in texts()] for text in texts()]
    found = utilities(texts())
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.ptp(found) > 50
    assert (found != found.T).any()


@pytest.mark.parametrize("metric", ["chrf", "bleu"])
def test_the_sample_with_the_highest_mean_score_is_chosen(metric):
    translator = make_translator(SAMPLING)
    scorer = CHRF() if metric == "chrf" else BLEU(effective_order=True)
    samples = translator.n_best(LINES, SAMPLES)
    chosen = MinimumBayesRisk(translator, SAMPLES, metric).n_best(LINES, SAMPLES)
    assert chosen[1] == []
    assert len({best.text for each in samples for best in each}) > 2 * len(LINES)
    for drawn, ranked in zip(samples, chosen, strict=True):
        references = [sample.text for sample in drawn]
        means = {
            text: np.mean([scorer.sentence_score(text, [reference]).score for reference in references])
            for text in references
        }
        assert sorted(means) == sorted(hypothesis.text for hypothesis in ranked)  # each text once
        np.testing.assert_allclose([hypothesis.score for hypothesis in ranked], sorted(means.values(), reverse=True))
        for hypothesis in ranked:
            assert hypothesis.score == pytest.approx(means[hypothesis.text])
            assert hypothesis.tokens in {sample.tokens for sample in drawn}


def test_the_best_does_not_depend_on_how_many_are_returned_or_on_the_batch():
    one = MinimumBayesRisk(make_translator(SAMPLING), SAMPLES)
    assert [found[:2] for found in one.n_best(LINES, SAMPLES)] == one.n_best(LINES, 2)
    texts = [found[0].text if found else "" for found in one.n_best(LINES, 1)]
    assert one.translate(LINES) == texts
    assert [text for line in LINES[:1] for text in one.translate([line])] == texts[:1]


def test_prefixes_are_kept():
    for found in MinimumBayesRisk(make_translator(SAMPLING), SAMPLES).n_best(["abc", "ab"], 3, ["ja", "h"]):
        assert {hypothesis.text[:1] for hypothesis in found} <= {"j", "h"}


def test_samples_are_drawn_at_temperature_1_unless_another_is_given():
    assert sampling_config(DecodingConfig(), 8).sampling.temperature == 1.0
    assert sampling_config(DecodingConfig(sampling=SamplingConfig(temperature=0.5)), 8).sampling.temperature == 0.5
    assert sampling_config(DecodingConfig(batch_size=64, beam_size=4), 32).batch_size == 8


def test_mistakes_are_one_line():
    with pytest.raises(InputError, match="--mbr = 1: must be 2 or more samples"):
        sampling_config(DecodingConfig(), 1)
    wrong = DecodingConfig(required=("a",), coverage_penalty=0.1)
    with pytest.raises(InputError, match=r"cannot be combined with decoding.coverage_penalty, decoding.required"):
        sampling_config(wrong, 8)
    with pytest.raises(InputError, match="9 translations of each line: must be at most 8"):
        MinimumBayesRisk(make_translator(SAMPLING), 8).n_best(["a"], 9)
