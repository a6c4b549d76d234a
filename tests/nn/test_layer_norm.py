"""Layer normalisation against its formula."""

import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import LayerNorm

X = jnp.asarray(np.random.default_rng(0).standard_normal((8, 5, 16)), jnp.float32)


@pytest.fixture(scope="module")
def params():
    return random_parameters(LayerNorm(), X)


@pytest.mark.parametrize("epsilon", [1e-6, 1e-5, 0.5])
def test_equals_the_formula(params, epsilon):
    output = LayerNorm(epsilon).apply({"params": params}, X)
    assert relative_error(output, reference.layer_norm(double(params), double(X), epsilon)) < 1e-6


def test_a_large_mean_costs_no_more_than_its_rounding(params):
    # E[x^2] - E[x]^2 would lose every digit here.
    x = X + 10_000
    output = LayerNorm().apply({"params": params}, x)
    assert relative_error(output, reference.layer_norm(double(params), double(x))) < 1e-3


def test_a_constant_row_gives_beta(params):
    output = LayerNorm().apply({"params": params}, jnp.full((2, 16), 3.0))
    np.testing.assert_array_equal(output, np.broadcast_to(params["beta"], (2, 16)))


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-10, 10), scale=st.floats(0.5, 20))
def test_shift_and_scale_of_a_row_do_not_matter(params, shift, scale):
    block = LayerNorm(epsilon=1e-12)
    output = block.apply({"params": params}, scale * X + shift)
    assert relative_error(output, block.apply({"params": params}, X)) < 1e-5


def test_is_the_same_under_jit_vmap_and_pmap(params):
    check_transformations(lambda params, x: LayerNorm().apply({"params": params}, x), params, X)


def test_statistics_are_float32_when_the_result_is_bfloat16(params):
    x = X.astype(jnp.bfloat16)
    output = LayerNorm(dtype=jnp.bfloat16).apply({"params": params}, x)
    expected = LayerNorm().apply({"params": params}, x).astype(jnp.bfloat16)
    assert output.dtype == jnp.bfloat16
    np.testing.assert_array_equal(output, expected)


def test_starts_as_plain_normalisation_and_names_its_axes():
    boxed = boxed_parameters(LayerNorm(), X)
    assert {name: box.names for name, box in boxed.items()} == {"gamma": ("embed",), "beta": ("embed",)}
    assert bool((boxed["gamma"].value == 1).all() and (boxed["beta"].value == 0).all())
