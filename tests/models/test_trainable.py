"""Patterns of parameters, and low-rank changes of matrices of every shape."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from tfmr.analysis import parameter_count, training_bytes
from tfmr.config import CausalLMConfig, FineTuningConfig, TrainingConfig, TransformerConfig
from tfmr.config.presets import transformer_base
from tfmr.errors import InputError
from tfmr.models import CausalLM, Transformer, abstract_params, init_params
from tfmr.models.lora import LowRank
from tfmr.models.parameter_names import axis_names, boxed_params, by_name, matching, with_structure_of
from tfmr.models.trainable import EVERYTHING, boxed_learning, learning_rate_factors, trainable_of
from tfmr.training import make_optimizer, make_schedule

SHAPE = dict(num_encoder_layers=2, num_decoder_layers=2, d_model=8, d_ff=12, num_heads=2, d_k=3, d_v=5, vocab_size=10)
MODEL = Transformer(TransformerConfig(**SHAPE))
STACKED = Transformer(TransformerConfig(**SHAPE, scan_layers=True))


@functools.cache
def params_of(model):
    return jax.jit(functools.partial(init_params, model))(jax.random.key(0))


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes", "inputs"),
    [
        ((8, 12), ("embed", "mlp"), 8),
        ((8, 2, 3), ("embed", "heads", "kv"), 8),
        ((2, 5, 8), ("heads", "kv", "embed"), 10),
        ((3, 4, 8), (None, None, None), 12),
    ],
)
def test_the_product_is_that_of_matrices(shape, axes, inputs, stacked):
    lead = (4,) * stacked
    low_rank = LowRank((*lead, *shape), (("layers",) * stacked) + axes, rank=2, stacked=stacked)
    a, b = low_rank.init(jax.random.key(0))
    assert not b.any()
    assert a.std() == pytest.approx(inputs**-0.5, rel=0.5)
    b = jax.random.normal(jax.random.key(1), b.shape)
    found = low_rank.product(a, b)
    assert found.shape == (*lead, *shape)
    matrices = np.float64(a).reshape(-1, inputs, 2) @ np.float64(b).reshape(len(a) if stacked else 1, 2, -1)
    np.testing.assert_allclose(found.reshape(matrices.shape), matrices, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(MODEL, id="loop", marks=pytest.mark.slow),
        pytest.param(STACKED, id="scan"),
    ],
)
def test_it_is_divided_and_assembled(model):
    params = params_of(model)
    trainable = trainable_of(model, FineTuningConfig("base", trainable=("*.gamma",), lora_rank=2, lora_alpha=6.0))
    learning, frozen = jax.jit(trainable.start)(params, jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, trainable.assemble(learning, frozen), params)
    assert not {name for name in by_name(frozen) if name.endswith("gamma")}
    moved = jax.tree.map(lambda x: x + 0.1, learning)
    assembled, before = by_name(trainable.assemble(moved, frozen)), by_name(params)
    name = "encoder.layers.self_attention.value" if model is STACKED else "encoder.layer_1.self_attention.value"
    a, b = (np.float64(by_name(moved)[f"{name}.lora_{x}"]) for x in "ab")
    change = 6 / 2 * np.einsum("...ir,...rhk->...ihk", a, b)
    np.testing.assert_allclose(assembled[name], np.float64(before[name]) + change, atol=1e-6)
    np.testing.assert_array_equal(assembled["embedding.embedding"], before["embedding.embedding"])
    # What a checkpoint contains is the small part.
    assert trainable.stored(moved, frozen) is moved
    assert sum(x.size for x in jax.tree.leaves(moved)) < sum(x.size for x in jax.tree.leaves(params)) / 1.5


def test_a_run_with_frozen_parameters_stores_all():
    params = params_of(MODEL)
    trainable = trainable_of(MODEL, FineTuningConfig("base", trainable=("decoder.layer_0.*",)))
    learning, frozen = trainable.start(params, jax.random.key(1))
    assert set(by_name(learning)) == {name for name in by_name(params) if name.startswith("decoder.layer_0.")}
    jax.tree.map(np.testing.assert_array_equal, trainable.stored(learning, frozen), params)
    for found, expected in zip(trainable.restored(params, None), (learning, frozen), strict=True):
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert trainable_of(MODEL, FineTuningConfig("base")) is EVERYTHING
    assert EVERYTHING.start(params, jax.random.key(1)) == (params, None)


def test_axes_have_the_names_of_their_matrices():
    trainable = trainable_of(STACKED, FineTuningConfig("base", lora_rank=2))
    names = axis_names(boxed_learning(STACKED, trainable))
    attention = "decoder.layers.cross_attention"
    assert names[f"{attention}.query.lora_a"] == ("layers", "embed", "lora_rank")
    assert names[f"{attention}.query.lora_b"] == ("layers", "lora_rank", "heads", "kv")
    assert names[f"{attention}.output.lora_a"] == ("layers", "heads", "kv", "lora_rank")
    assert names[f"{attention}.output.lora_b"] == ("layers", "lora_rank", "embed")
    assert axis_names(boxed_params(MODEL))["embedding.embedding"] == ("vocab", "table_embed")


def test_the_matrices_of_the_layers_are_changed_by_default():
    model = CausalLM(CausalLMConfig(num_layers=1, d_model=8, d_ff=12, num_heads=2, d_k=4, d_v=4, vocab_size=10))
    found = trainable_of(model, FineTuningConfig("base", lora_rank=2)).lora
    attention = {f"decoder.layer_0.self_attention.{name}" for name in ("query", "key", "value", "output")}
    assert set(found) == attention | {f"decoder.layer_0.feed_forward.{name}.kernel" for name in ("up", "down")}
    given = FineTuningConfig("base", lora_rank=2, lora_matrices=("*.query", "*_attention.value"))
    assert set(trainable_of(model, given).lora) == {name for name in attention if name.endswith(("query", "value"))}


def test_a_pattern_that_matches_no_or_half_an_array_is_refused():
    shapes, stacked = by_name(abstract_params(MODEL)), by_name(abstract_params(STACKED))
    assert matching(["encoder.layer_?.feed_forward.up.*"], stacked, "o") == {
        f"encoder.layers.feed_forward.up.{name}" for name in ("kernel", "bias")
    }
    assert len(matching(["encoder.layer_0.*"], shapes, "o")) == len(matching(["encoder.*"], stacked, "o"))
    with pytest.raises(InputError, match=r"o = 'encoder.layer_0.\*': matches only some layers of encoder\.layers\."):
        matching(["encoder.layer_0.*"], stacked, "o")
    with pytest.raises(InputError, match=r"o = '\*.feedforward.\*': .*did you mean '\*\.feed_forward\.\*'"):
        matching(["*.feedforward.*"], shapes, "o")


def test_layers_are_stacked_as_in_another_tree():
    params = params_of(MODEL)
    stacked = with_structure_of(params, abstract_params(STACKED))
    assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, abstract_params(STACKED))
    jax.tree.map(np.testing.assert_array_equal, with_structure_of(stacked, params), params)


def test_a_factor_scales_the_updates():
    given = FineTuningConfig("base", learning_rate_factors=("*=0.5", "decoder.*=2"), lora_rank=1)
    trainable = trainable_of(MODEL, given)
    params, _ = trainable.start(params_of(MODEL), jax.random.key(1))
    factors = learning_rate_factors(params, given)
    training = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=0, weight_decay=0.1)
    schedule = make_schedule(training, 8)
    updates = []
    for optimizer in (make_optimizer(training, schedule), make_optimizer(training, schedule, factors)):
        gradient = jax.tree.map(jnp.ones_like, params)
        updates.append(by_name(optimizer.update(gradient, optimizer.init(params), params)[0]))
    plain, scaled = updates
    for name, update in plain.items():
        np.testing.assert_allclose(scaled[name], update * (2 if name.startswith("decoder") else 0.5), rtol=1e-6)


def test_the_optimizer_state_of_lora_of_rank_8_is_small():
    model = Transformer(dataclasses.replace(transformer_base(), scan_layers=True))
    shapes = nn.unbox(boxed_learning(model, trainable_of(model, FineTuningConfig("base", lora_rank=8))))
    state, full = (jax.eval_shape(optax.adam(1.0).init, tree) for tree in (shapes, abstract_params(model)))
    sizes = [sum(x.size for x in jax.tree.leaves(tree)) for tree in (state, full)]
    assert sizes[0] < 0.03 * sizes[1]


def test_the_memory_of_training_is_that_of_what_learns():
    full, total = training_bytes(MODEL.config, moving_average=False), parameter_count(MODEL.config)
    assert full == 16 * total
    lora = FineTuningConfig("base", lora_rank=2)
    learning = sum(x.size for x in by_name(nn.unbox(boxed_learning(MODEL, trainable_of(MODEL, lora)))).values())
    assert training_bytes(MODEL.config, moving_average=True, fine_tuning=lora) == 4 * total + 20 * learning
    decoder = FineTuningConfig("base", trainable=("decoder.*",))
    learning = sum(x.size for name, x in by_name(params_of(MODEL)).items() if name.startswith("decoder."))
    expected = 4 * (total - learning) + 16 * learning
    assert training_bytes(MODEL.config, moving_average=False, fine_tuning=decoder) == expected
