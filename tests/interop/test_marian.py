"""Our models as Marian and back. What Marian itself computes: test_marian_folder.py (stored) and test_live.py."""

import copy
import dataclasses
import functools
import re

import jax.numpy as jnp
import numpy as np
import pytest
from reference import random_parameters, relative_error
from small_transformers import BASE, SENTENCES, VOCAB, logits_of

from tfmr.data import tokenizer
from tfmr.errors import InputError
from tfmr.interop import check_marian, flatten, from_marian, marian_model, to_marian
from tfmr.models import Transformer, TransformerConfig

SMALL = dataclasses.replace(BASE, num_heads=2, d_k=8, d_v=8, num_encoder_layers=2, num_decoder_layers=2)
MARIANS = dataclasses.replace(SMALL, norm_epsilon=1e-5, attention_bias=True, output_bias=True, activation="swish")
UNK = tokenizer.UNK_ID


@functools.cache
def params_of(config):
    return random_parameters(Transformer(config), *SENTENCES)


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
def test_out_and_in_again_is_bit_for_bit_the_same(tie):
    config = dataclasses.replace(MARIANS, tie_embeddings=tie)
    found, params, ids = from_marian(*to_marian(config, params_of(config)), UNK)
    assert found == config
    assert ids == list(range(VOCAB))
    for name, x in flatten(params_of(config)).items():
        np.testing.assert_array_equal(flatten(params)[name], x, err_msg=name)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-6, 1e-5])
def test_a_model_without_biases_and_of_another_epsilon_computes_the_same(epsilon):
    config = dataclasses.replace(SMALL, norm_epsilon=epsilon)
    found, params, _ = from_marian(*to_marian(config, params_of(config)), UNK)
    assert found == dataclasses.replace(MARIANS, activation="relu")
    expected = logits_of(config, params_of(config), *SENTENCES)
    assert relative_error(logits_of(found, params, *SENTENCES), expected) < (1e-6 if epsilon == 1e-5 else 2e-5)


def test_only_the_first_norms_are_not_exact(monkeypatch):
    """With a large epsilon, and no first norm to be wrong: then the two are equal, as the text says."""
    monkeypatch.setattr(marian_model, "EPSILON", 0.5)
    config = dataclasses.replace(SMALL, norm_epsilon=0.1)
    found, params, _ = from_marian(*to_marian(config, params_of(config)), UNK)
    assert found.norm_epsilon == 0.5
    given = copy.deepcopy(params_of(config))
    for stack in ("encoder", "decoder"):
        # A first norm that gives its beta alone, whatever comes in.
        for tree in (params, given):
            norm = tree[stack]["layer_0"]["self_attention_norm"]
            norm["gamma"] = jnp.zeros_like(norm["gamma"])
    expected = logits_of(config, given, *SENTENCES)
    assert relative_error(logits_of(found, params, *SENTENCES), expected) < 2e-6


def test_token_ids_are_put_into_our_order_and_the_copy_is_never_written():
    values, weights = to_marian(MARIANS, params_of(MARIANS))
    values |= {"pad_token_id": VOCAB - 1, "decoder_start_token_id": VOCAB - 1, "eos_token_id": 0}
    config, params, ids = from_marian(values, weights, 1)
    assert ids == [VOCAB - 1, 1, VOCAB - 1, 0, *range(2, VOCAB - 1)]
    assert config.vocab_size == VOCAB + 1
    theirs, ours = flatten(params_of(MARIANS)), flatten(params)
    np.testing.assert_array_equal(ours["embedding.embedding"], theirs["embedding.embedding"][ids])
    others = np.arange(VOCAB + 1) != tokenizer.BOS_ID
    np.testing.assert_array_equal(ours["output_bias"][others], theirs["output_bias"][ids][others])
    logits = np.asarray(logits_of(config, params, *SENTENCES), np.float64)
    probabilities = np.exp(logits - logits.max(axis=-1, keepdims=True))
    assert not probabilities.astype(np.float32)[..., tokenizer.BOS_ID].any()


def test_all_reasons_why_marian_cannot_hold_a_model_are_given_at_once():
    config = TransformerConfig(vocab_size=9, norm="pre", positions="learned", d_k=32, d_v=16, norm_epsilon=1e-3)
    with pytest.raises(InputError) as raised:
        check_marian(config)
    assert str(raised.value).splitlines() == [str(raised.value)]
    for name in ("norm = 'pre'", "positions = 'learned'", "d_k = 32", "d_v = 16", "norm_epsilon = 0.001"):
        assert f"model.{name}" in str(raised.value)
    with pytest.raises(InputError, match="Marian cannot represent"):
        to_marian(config, {})


def test_all_reasons_why_a_marian_model_cannot_be_ours_are_given_at_once():
    values, weights = to_marian(MARIANS, params_of(MARIANS))
    wrong = {
        "model_type": "bart",
        "scale_embedding": False,
        "normalize_before": True,
        "decoder_ffn_dim": 7,
        "decoder_vocab_size": 8,
        "activation_function": "gelu_fast",
        "eos_token_id": None,
    }
    with pytest.raises(InputError) as raised:
        from_marian(values | wrong, weights, UNK, "opus")
    assert str(raised.value).splitlines() == [str(raised.value)]
    for name, value in wrong.items():
        assert f"{name} = {value!r}" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.encoder.layers.0.fc3.weight": np.zeros(1, np.float32)}, r"unknown: .*fc3"),
        (
            {"model.shared.weight": np.zeros((3, 16), np.float32)},
            r"wrong shape: model\.shared\.weight \(3, 16\)",
        ),
        ({"model.encoder.layers.0.fc1.weight": None}, r"missing: model\.encoder\.layers\.0\.fc1\.weight \(24, 16\)"),
        ({"lm_head.weight": np.zeros((VOCAB, 16), np.float32)}, r"lm_head\.weight differs from model\.shared\.weight"),
        ({"model.encoder.embed_positions.weight": np.zeros((4, 16), np.float32)}, "must be the paper's sinusoids"),
    ],
)
def test_weights_that_do_not_fit_are_named(changes, message):
    values, weights = to_marian(MARIANS, params_of(MARIANS))
    weights = {name: x for name, x in (weights | changes).items() if x is not None}
    with pytest.raises(InputError, match=message):
        from_marian(values, weights, UNK)


def test_tables_that_are_there_twice_and_sinusoids_are_taken():
    values, weights = to_marian(MARIANS, params_of(MARIANS))
    table = np.array([[np.sin(p / 10_000 ** (2 * i / 16)) for i in range(8)] for p in range(5)])
    cosines = np.array([[np.cos(p / 10_000 ** (2 * i / 16)) for i in range(8)] for p in range(5)])
    more = {
        "lm_head.weight": weights["model.shared.weight"],
        "model.decoder.embed_positions.weight": np.concatenate([table, cosines], axis=1).astype(np.float16),
    }
    assert from_marian(values, weights | more, UNK)[0] == MARIANS


def test_wrong_token_ids_are_refused():
    values, weights = to_marian(MARIANS, params_of(MARIANS))
    for wrong in ({"pad_token_id": VOCAB}, {"pad_token_id": UNK}):
        with pytest.raises(InputError, match=re.escape("ids of the padding, unknown, start and EOS tokens = [")):
            from_marian(values | wrong, weights, UNK)
