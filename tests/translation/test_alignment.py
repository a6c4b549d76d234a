"""Alignments: the weights of the paper's formulas, whatever stands in the batch beside the pair."""

import logging

import numpy as np
import pytest
from small_translators import make_translator

from tfmr.analysis import attention_weights
from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID
from tfmr.errors import InputError
from tfmr.translation import Translator

SOURCES = ["abc", "jihgfedcba", "", "a"]
TARGETS = ["cba", "", "abcdefghijabcdefghij", "b"]


@pytest.mark.parametrize("head", [None, 0, 1])
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_are_the_weights_of_the_layer_and_head(layer, head):
    each = make_translator(DecodingConfig(batch_size=3))
    for source, target, found in zip(
        SOURCES, TARGETS, each.align(SOURCES, TARGETS, layer=layer, head=head), strict=True
    ):
        source, target = ([*each.tokenizer.encode(line), EOS_ID] for line in (source, target))
        assert (found.source, found.target) == (source, target)
        maps = attention_weights(each.model.config, each.params, source, [BOS_ID, *target[:-1]])
        weights = maps[f"decoder/layer_{1 if layer == -1 else layer}/cross_attention"]
        expected = weights.mean(axis=0) if head is None else weights[head]
        np.testing.assert_allclose(found.weights, expected, atol=1e-6)
        np.testing.assert_allclose(found.weights.sum(axis=1), 1.0, rtol=1e-5)
        assert found.links() == [(int(row.argmax()), i) for i, row in enumerate(expected)]


def test_a_pair_that_is_too_long_has_none(caplog):
    each = make_translator(DecodingConfig(max_source_length=5))
    with caplog.at_level(logging.WARNING, "tfmr"):
        whole, none = each.align(["abcd", "abcde"], ["a", "a"])
    assert whole.weights.shape == (2, 5)
    assert none.weights.shape == (0, 0)
    assert none.links() == []
    assert "pair 2: skipped" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(layer=2), "layer = 2: must be from 0 to 1"),
        (dict(layer=-2), "layer = -2"),
        (dict(head=2), "head = 2"),
        (dict(head=-1), "head = -1: must be from 0 to 1"),
    ],
)
def test_what_is_not_there_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        make_translator().align_stream([], **arguments)


def test_an_ensemble_has_none():
    with pytest.raises(InputError, match="an ensemble of 2 models"):
        Translator.ensemble([make_translator(), make_translator()]).align(["a"], ["b"])
