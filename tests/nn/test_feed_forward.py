"""The position-wise network against equation 2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import PositionwiseFeedForward

BLOCK = PositionwiseFeedForward(d_ff=24)
X = jnp.asarray(np.random.default_rng(0).standard_normal((8, 5, 6)), jnp.float32)


@pytest.fixture(scope="module")
def params():
    return random_parameters(BLOCK, X)


def test_equals_equation_2(params):
    assert relative_error(BLOCK.apply({"params": params}, X), reference.feed_forward(double(params), double(X))) < 1e-6


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_exact", "swish"])
def test_equals_equation_2_with_other_activations_and_without_biases(activation, use_bias):
    block = PositionwiseFeedForward(d_ff=24, activation=activation, use_bias=use_bias)
    params = random_parameters(block, X)
    assert all(("bias" in dense) == use_bias for dense in params.values())
    expected = reference.feed_forward(double(params), double(X), activation)
    assert relative_error(block.apply({"params": params}, X), expected) < 1e-6


def test_every_position_is_on_its_own(params):
    whole = BLOCK.apply({"params": params}, X)
    alone = BLOCK.apply({"params": params}, X[3:4, 2:3])
    assert relative_error(whole[3, 2], alone[0, 0]) < 1e-6
    changed = BLOCK.apply({"params": params}, X.at[3, 2].set(9.0))
    same = np.ones(X.shape[:2], bool)
    same[3, 2] = False
    np.testing.assert_array_equal(changed[same], whole[same])
    assert not np.array_equal(changed[3, 2], whole[3, 2])


def test_is_the_same_under_jit_vmap_and_pmap(params):
    check_transformations(lambda params, x: BLOCK.apply({"params": params}, x), params, X)


def test_bfloat16_computes_in_bfloat16_from_float32_parameters(params):
    block = PositionwiseFeedForward(d_ff=24, dtype=jnp.bfloat16)
    created = block.init(jax.random.key(0), X)["params"]
    assert {leaf.dtype for leaf in jax.tree.leaves(created)} == {jnp.dtype("float32")}
    output = block.apply({"params": params}, X)
    assert output.dtype == jnp.bfloat16
    assert 1e-5 < relative_error(output, reference.feed_forward(double(params), double(X))) < 2e-2


def test_every_parameter_names_its_axes():
    boxed = boxed_parameters(BLOCK, X)
    assert {(i, j): boxed[i][j].names for i in boxed for j in boxed[i]} == {
        ("up", "kernel"): ("embed", "mlp"),
        ("up", "bias"): ("mlp",),
        ("down", "kernel"): ("mlp", "embed"),
        ("down", "bias"): ("embed",),
    }
