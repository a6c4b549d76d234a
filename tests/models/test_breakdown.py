"""The breakdown by use, against the well-known one of GPT-3 and the real arrays."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from tfmr.analysis import attention_share, cache_bytes, parameter_count, training_bytes, weight_breakdown
from tfmr.cli import _dispatch
from tfmr.config import CausalLMConfig
from tfmr.models import CausalLM, Transformer, TransformerConfig, gpt2_small, gpt3, init_params, transformer_base


def test_gpt3_comes_to_the_well_known_number():
    table = weight_breakdown(gpt3())
    assert sum(table.values()) == 175_181_291_520
    assert table["embedding"] == table["unembedding"] == 617_558_016
    assert table["query"] == table["key"] == table["value"] == table["output"] == 14_495_514_624
    assert table["up projection"] == table["down projection"] == 57_982_058_496
    assert attention_share(gpt3()) == pytest.approx(1 / 3, abs=0.003)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_without_biases_and_positions_it_is_all_but_the_norms(gated, tied):
    config = dataclasses.replace(gpt2_small(), bias=False, gated=gated, tie_embeddings=tied, positions="sinusoidal")
    norms = (2 * config.num_layers + 1) * config.d_model
    matrices = sum(weight_breakdown(config).values()) - tied * weight_breakdown(config)["unembedding"]
    assert matrices + norms == parameter_count(config)


def test_of_a_transformer_it_counts_both_stacks():
    table = weight_breakdown(transformer_base())
    assert table["query"] == 18 * 512 * 512
    assert table["up projection"] == 12 * 512 * 2048


def test_the_cache_is_as_large_as_the_real_one():
    config = CausalLMConfig(vocab_size=9, num_layers=3, num_heads=2, d_model=8, d_k=3, d_v=5, d_ff=4)
    for dtype in ("float32", "bfloat16"):
        model = CausalLM(dataclasses.replace(config, dtype=dtype))
        params = init_params(model, jax.random.key(0))
        cache = model.apply({"params": params}, 1, 40, method="start_cache")
        found = sum(x.nbytes for x in jax.tree.leaves(cache))
        assert cache_bytes(model.config, 40) == found


def test_the_matrices_of_a_recurrent_unit_are_one_use():
    table = weight_breakdown(dataclasses.replace(transformer_base(), decoder_recurrence="ssru"))
    assert table["recurrence"] == 6 * 2 * 512 * 512
    assert table["query"] == 12 * 512 * 512


@pytest.mark.parametrize("recurrence", ["none", "ssru"])
def test_the_cache_of_a_translation_model_is_as_large_as_the_real_one(recurrence):
    shape = dict(num_encoder_layers=1, num_decoder_layers=3, num_heads=2, d_model=8, d_k=3, d_v=5, d_ff=4)
    model = Transformer(TransformerConfig(vocab_size=9, decoder_recurrence=recurrence, dtype="bfloat16", **shape))
    params = init_params(model, jax.random.key(0))
    memory = jnp.zeros((1, 40, 8), jnp.bfloat16)
    cache = model.apply({"params": params}, memory, 40, method="start_cache")
    assert cache_bytes(model.config, 40) == sum(x.nbytes for x in jax.tree.leaves(cache.layers))


def test_training_is_sixteen_bytes_a_parameter():
    assert training_bytes(gpt2_small(), moving_average=False) == 16 * 124_439_808
    assert training_bytes(gpt2_small(), moving_average=True) == 20 * 124_439_808


def test_inspect_tells_it(capsys):
    _dispatch(["inspect", "configs/gpt3.py"])
    out = capsys.readouterr().out
    assert "175,181,291,520" in out
    # Keys and values of 96 layers of 12 288, 2 bytes each, for 2048 tokens.
    assert f"{2 * 96 * 12_288 * 2 * 2048 / 2**30:.3f}   (2,048 tokens, bfloat16)" in out
