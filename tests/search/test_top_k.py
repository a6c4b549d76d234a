"""`top_k` against `lax.top_k`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from tfmr.search import top_k


# Few sizes, so that few shapes are compiled: below, at and above whole chunks of 128, and several of them.
@pytest.mark.parametrize("size", [5, 127, 128, 129, 1000, 1024])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_equals_lax_top_k_with_ties(size, data):
    k = data.draw(st.sampled_from([1, 2, 5]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    distinct = data.draw(st.sampled_from([1, 2, 10, 10**6]))
    values = np.random.default_rng(seed).integers(-distinct, distinct, (2, 3, size)).astype(np.float32)
    values[0, 0, : data.draw(st.integers(0, size))] = -np.inf
    found = jax.jit(top_k, static_argnums=1)(values, k)
    expected = lax.top_k(values, k)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_of_equal_values_the_lower_index_is_first_across_chunks():
    values = jnp.zeros(512).at[jnp.array([400, 200, 130])].set(7.0).at[300].set(9.0)
    largest, indices = top_k(values, 3)
    assert largest.tolist() == [9.0, 7.0, 7.0]
    assert indices.tolist() == [300, 130, 200]


def test_works_when_all_values_are_minus_infinity():
    largest, indices = top_k(jnp.full(300, -jnp.inf), 4)
    assert bool((largest == -jnp.inf).all())
    assert indices.tolist() == [0, 1, 2, 3]
