"""Relative position bias: its buckets and values, and attention with it in packed rows and step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import boxed_parameters, double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import MultiHeadAttention, RelativePositionBias, Segments
from tfmr.nn.relative_positions import distance_buckets

HEADS, BUCKETS, FARTHEST = 3, 8, 20
POSITIONS = jnp.asarray(np.random.default_rng(0).integers(0, 60, (8, 7)), jnp.int32)


def bias_of(bidirectional=True):
    return RelativePositionBias(HEADS, BUCKETS, FARTHEST, bidirectional)


@pytest.fixture(scope="module")
def params():
    return random_parameters(bias_of(), POSITIONS, POSITIONS)


def test_buckets_are_those_of_t5():
    """The first distance of each bucket of a T5, whose tables have 32 rows for distances up to 128."""
    options = dict(num_buckets=32, max_distance=128)
    lengths = np.arange(200)
    one_sided = distance_buckets(-lengths, bidirectional=False, **options)
    firsts = [*range(17), 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]
    assert [int(np.argmax(one_sided == bucket)) for bucket in range(32)] == firsts
    assert (distance_buckets(lengths, bidirectional=False, **options) == 0).all()
    firsts = [*range(9), 12, 16, 23, 32, 46, 64, 91]
    before, after = (distance_buckets(sign * lengths, bidirectional=True, **options) for sign in (-1, 1))
    assert [int(np.argmax(before == bucket)) for bucket in range(16)] == firsts
    assert after[0] == 0
    assert (after[1:] == before[1:] + 16).all()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_equals_the_formula_wherever_queries_and_keys_are(params, bidirectional):
    keys = POSITIONS[:, :5] + 3
    found = bias_of(bidirectional).apply({"params": params}, POSITIONS, keys)
    assert found.shape == (8, HEADS, 7, 5)
    for b in range(3):
        places = np.asarray(POSITIONS[b]), np.asarray(keys[b])
        expected = reference.relative_bias(double(params)["embedding"], *places, FARTHEST, bidirectional)
        np.testing.assert_allclose(found[b], expected, rtol=1e-6)


def test_is_the_same_under_jit_vmap_and_pmap(params):
    check_transformations(lambda params, *x: bias_of().apply({"params": params}, *x), params, POSITIONS, POSITIONS)


def test_every_bucket_learns_from_its_own_distances(params):
    pairs = jax.grad(lambda params: bias_of().apply({"params": params}, POSITIONS, POSITIONS).sum())(params)
    distances = np.asarray(POSITIONS)[:, None, :] - np.asarray(POSITIONS)[:, :, None]
    buckets = distance_buckets(distances, num_buckets=BUCKETS, max_distance=FARTHEST, bidirectional=True)
    counts = np.bincount(buckets.ravel(), minlength=BUCKETS)
    np.testing.assert_allclose(pairs["embedding"], np.repeat(counts[:, None], HEADS, axis=1))


def test_names_its_axes():
    assert boxed_parameters(bias_of(), POSITIONS, POSITIONS)["embedding"].names == ("positions", "heads")


LENGTH, D_MODEL = 9, 12
BLOCK = MultiHeadAttention(HEADS, D_MODEL, d_k=4, d_v=5, causal=True, scale_scores=False)
X = jnp.asarray(np.random.default_rng(1).standard_normal((2, LENGTH, D_MODEL)), jnp.float32)


@pytest.fixture(scope="module")
def weights():
    return random_parameters(BLOCK, X)


class TestWithAttention:
    """The unscaled attention of a decoder, with its bias."""

    def bias(self, params, queries, keys):
        return bias_of(False).apply({"params": params}, jnp.asarray(queries)[None], jnp.asarray(keys)[None])

    def whole(self, params, weights, x, mask=None):
        places = jnp.arange(x.shape[1])
        return BLOCK.apply({"params": weights}, x, mask=mask, bias=self.bias(params, places, places))

    def test_equals_the_formula(self, params, weights):
        places = range(LENGTH)
        bias = reference.relative_bias(double(params)["embedding"], places, places, FARTHEST, False)
        before = np.tri(LENGTH, dtype=bool)
        expected = reference.multi_head_attention(double(weights), *2 * [double(X[0])], before, bias=bias, scale=1.0)[0]
        assert relative_error(self.whole(params, weights, X)[0], expected) < 1e-6

    def test_a_packed_row_is_its_segments(self, params, weights):
        packed = jnp.concatenate([X[:1, :4], X[1:, :5]], axis=1)
        segments = jnp.asarray([[1] * 4 + [2] * 5])
        found = self.whole(params, weights, packed, Segments(segments, segments))
        for part, alone in ((found[:, :4], X[:1, :4]), (found[:, 4:], X[1:, :5])):
            assert relative_error(part, self.whole(params, weights, alone)) < 1e-6

    def test_steps_of_any_length_are_the_whole(self, params, weights):
        expected = self.whole(params, weights, X)
        cache = BLOCK.apply({"params": weights}, (2,), 16, method="start_cache")
        slots = np.arange(16)
        for start, end in ((0, 1), (1, 5), (5, 9)):
            places = np.arange(start, end)
            mask = jnp.asarray(slots <= places[:, None])[None, None]
            step = (X[:, start:end], cache, jnp.int32(start), mask)
            bias = self.bias(params, places, slots)
            found, cache = BLOCK.apply({"params": weights}, *step, bias=bias, method="step")
            assert relative_error(found, expected[:, start:end]) < 1e-6


def test_the_first_scores_are_as_large_as_those_of_scaled_attention():
    blocks = [MultiHeadAttention(4, 64, scale_scores=scaled) for scaled in (True, False)]
    scaled, unscaled = (block.init(jax.random.key(0), jnp.zeros((1, 1, 64)))["params"] for block in blocks)
    np.testing.assert_allclose(unscaled.pop("query"), scaled.pop("query") / 4, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, unscaled, scaled)
