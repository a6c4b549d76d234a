"""Root mean square normalisation against its formula."""

import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import RMSNorm

X = jnp.asarray(np.random.default_rng(0).standard_normal((8, 5, 16)) + 0.5, jnp.float32)


@pytest.fixture(scope="module")
def params():
    return random_parameters(RMSNorm(), X)


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_equals_the_formula(params, epsilon):
    output = RMSNorm(epsilon).apply({"params": params}, X)
    for b in range(2):
        assert relative_error(output[b], reference.rms_norm(double(params), double(X[b]), epsilon)) < 1e-6


def test_is_the_same_under_jit_vmap_and_pmap(params):
    check_transformations(lambda params, x: RMSNorm().apply({"params": params}, x), params, X)


def test_the_mean_of_squares_is_float32_when_the_result_is_bfloat16(params):
    x = X.astype(jnp.bfloat16)
    output = RMSNorm(dtype=jnp.bfloat16).apply({"params": params}, x)
    assert output.dtype == jnp.bfloat16
    np.testing.assert_array_equal(output, RMSNorm().apply({"params": params}, x).astype(jnp.bfloat16))


def test_starts_as_plain_normalisation_and_names_its_axis():
    boxed = boxed_parameters(RMSNorm(), X)
    assert {name: box.names for name, box in boxed.items()} == {"gamma": ("embed",)}
    assert bool((boxed["gamma"].value == 1).all())
