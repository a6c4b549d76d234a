"""Scores of given pairs: those of the paper's formulas in float64, of decoding, and of the pair alone."""

import itertools
import logging
import math
import random

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from small_translators import LETTERS, make_translator, true_log_probs

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID
from tfmr.errors import InputError
from tfmr.translation import Translator

LEARNED = {"norm": "pre", "positions": "learned", "max_length": 64, "tie_embeddings": "none", "output_bias": True}


def random_pairs(number, seed=0, longest=14):
    generator = random.Random(seed)

    def line():
        return "".join(generator.choices(LETTERS, k=generator.randint(0, longest)))

    return [(line(), line()) for _ in range(number)]


@pytest.mark.parametrize("changes", [{}, LEARNED], ids=["base", "learned"])
def test_a_score_is_the_formulas_token_by_token(changes):
    each = make_translator(DecodingConfig(alpha=0.6, batch_size=4), **changes)
    pairs = random_pairs(9)
    for (source, target), score in zip(pairs, each.score(*zip(*pairs, strict=True)), strict=True):
        source, target = ([*each.tokenizer.encode(line), EOS_ID] for line in (source, target))
        expected = true_log_probs(each, source, target)
        assert score.tokens == target
        np.testing.assert_allclose(score.token_log_probs, expected, rtol=1e-5, atol=1e-6)
        assert score.log_prob == pytest.approx(expected.sum(), rel=1e-5)
        assert score.score == pytest.approx(expected.sum() / ((5 + len(target)) / 6) ** 0.6, rel=1e-5)


def test_all_that_can_follow_sums_to_one():
    each = make_translator(letters="ab")
    vocab, longest = range(6), 3
    others = [token for token in vocab if token != EOS_ID]
    whole = [[*body, EOS_ID] for n in range(longest) for body in itertools.product(others, repeat=n)]
    unfinished = [list(body) for body in itertools.product(others, repeat=longest)]
    source = [*each.tokenizer.encode("abba"), EOS_ID]
    targets = whole + unfinished  # token ids without EOS are the probability that a text begins so
    scores = each.score([source] * len(targets), targets)
    assert len(scores) == 1 + 5 + 25 + 125
    for target, score in zip(targets, scores, strict=True):
        assert score.log_prob == pytest.approx(true_log_probs(each, source, target).sum(), rel=1e-5)
    assert math.fsum(math.exp(score.log_prob) for score in scores) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("penalties", "changes"),
    [
        (dict(length_penalty="gnmt"), LEARNED),
        (dict(length_penalty="power"), {}),
        (dict(coverage_penalty=0.3), {}),
    ],
)
def test_what_beam_search_wrote_has_the_score_that_beam_search_gave(penalties, changes):
    each = make_translator(DecodingConfig(beam_size=5, alpha=0.7, extra_length=6, **penalties), **changes)
    lines, compared_as_text = ["a", "jihgfedcba", "aabb"], 0
    for line, found in zip(lines, each.n_best(lines, 5), strict=True):
        assert len(found) == 5
        expected = [hypothesis.score for hypothesis in found]
        scores = each.score([line] * 5, [hypothesis.tokens for hypothesis in found])
        np.testing.assert_allclose([score.score for score in scores], expected, rtol=1e-5)
        for hypothesis in found:
            if (*each.tokenizer.encode(hypothesis.text), EOS_ID) == hypothesis.tokens:
                assert each.score([line], [hypothesis.text])[0].score == pytest.approx(hypothesis.score, rel=1e-5)
                compared_as_text += 1
    assert compared_as_text > 3


def test_a_score_depends_on_neither_batch_nor_order_nor_padding():
    pairs = random_pairs(70)
    shuffled = random.Random(1).sample(range(70), 70)
    expected = None
    for batch_size in (1, 7, 64):
        each = make_translator(DecodingConfig(batch_size=batch_size))
        scores = [score.log_prob for score in each.score(*zip(*pairs, strict=True))]
        again = [score.log_prob for score in each.score_stream(pairs[i] for i in shuffled)]
        np.testing.assert_allclose(again, [scores[i] for i in shuffled], rtol=1e-5)
        expected = expected or scores
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
    # A long pair makes every other of its batch padded to its width.
    beside = each.score_stream([*pairs[:20], ("ab", "cd" * 40)])
    np.testing.assert_allclose([score.log_prob for score in beside][:20], expected[:20], rtol=1e-5)


def test_rows_spread_over_devices_change_no_score():
    pairs = random_pairs(11)
    alone = make_translator(DecodingConfig(batch_size=4))
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Auto,))
    params = jax.device_put(alone.params, NamedSharding(mesh, PartitionSpec()))
    rows = NamedSharding(mesh, PartitionSpec("rows"))
    spread = Translator(alone.model, params, alone.tokenizer, alone.config, rows)
    found, expected = ([score.log_prob for score in each.score_stream(pairs)] for each in (spread, alone))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_empty_line_is_its_end_mark_alone():
    each = make_translator()
    for source, target in (("", ""), ("ab\n", " \u200b"), ("\ufeff", "ba\r\n")):
        (found,) = each.score([source], [target])
        source, target = (
            [*each.tokenizer.encode(line.strip(" \u200b\ufeff\r\n")), EOS_ID] for line in (source, target)
        )
        assert found.tokens == target
        assert found.log_prob == pytest.approx(true_log_probs(each, source, target).sum(), rel=1e-5)
    assert each.score([], []) == []


@pytest.mark.parametrize(
    ("changes", "limits"), [({}, (9, 12)), ({"positions": "learned", "max_length": 7, "norm": "pre"}, (7, 7))]
)
def test_a_pair_that_is_too_long_is_told_and_has_no_score(changes, limits, caplog):
    each = make_translator(DecodingConfig(max_source_length=9, extra_length=3), **changes)
    lines = [("a" * (limits[0] - 1), "a" * (limits[1] - 1)), ("a" * limits[0], "a"), ("a", "a" * limits[1])]
    with caplog.at_level(logging.WARNING, "tfmr"):
        scores = list(each.score_stream(lines))
    assert [math.isfinite(score.score) for score in scores] == [True, False, False]
    assert math.isnan(scores[1].log_prob)
    assert [record.getMessage().split(" has")[0] for record in caplog.records] == [
        "pair 2: skipped, because its source",
        "pair 3: skipped, because its target",
    ]
    assert f"source has {limits[0] + 1} tokens" in caplog.text
    assert f"target has {limits[1] + 1} tokens" in caplog.text


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (["a", "b"], ["a"], "2 sources but 1 targets"),
        ("ab", ["a", "b"], "not a single string"),
        ([[4, 99]], ["a"], "pair 1: token id 99: must be from 0 to 13"),
        (["a", []], ["a", "a"], "pair 2: its source has no token ids"),
    ],
)
def test_what_is_wrong_is_named(sources, targets, message):
    with pytest.raises(InputError, match=message):
        make_translator().score(sources, targets)
