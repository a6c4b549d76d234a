"""The simpler simple recurrent unit against its formula, for whole sequences, packed rows, and step by step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import SSRU, DecoderLayer, LayerConfig, Segments, segment_mask
from tfmr.nn.ssru import linear_recurrence

BATCH, LENGTH, D_MODEL = 8, 7, 12
UNIT = SSRU(D_MODEL)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


X = draw(BATCH, LENGTH, D_MODEL)
PARAMS = random_parameters(UNIT, X)
# Rows of one, two and three sentences, with and without padding.
SEGMENTS = jnp.asarray(
    [[1] * 7, [1, 1, 1, 2, 2, 2, 2], [1, 2, 2, 3, 3, 0, 0], [1, 1, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]]
    + [[1] * 7] * 3
)


@functools.partial(jax.jit, static_argnames="method")
def apply(params, *inputs, method="__call__"):
    return UNIT.apply({"params": params}, *inputs, method=method)


@pytest.fixture(scope="module")
def whole():
    """The output for rows of one sequence each."""
    return apply(PARAMS, X)


def test_equals_the_formula(whole):
    assert (np.asarray(whole) == 0).any()
    assert (np.asarray(whole) > 0).any()
    for b in range(BATCH):
        assert relative_error(whole[b], reference.ssru(double(PARAMS), double(X[b]))) < 1e-6


def test_on_accelerators_the_parallel_scan_computes_the_same(monkeypatch):
    factor, term = jax.nn.sigmoid(X), draw(BATCH, LENGTH, D_MODEL, seed=1)
    expected = linear_recurrence(factor, term)
    monkeypatch.setattr("tfmr.nn.ssru.platform", lambda: "tpu")
    assert "scan" not in str(jax.make_jaxpr(linear_recurrence)(factor, term))
    assert relative_error(linear_recurrence(factor, term), expected) < 1e-6


@pytest.mark.parametrize(
    "mask", [Segments(SEGMENTS, SEGMENTS), segment_mask(SEGMENTS, SEGMENTS)], ids=["segments", "mask"]
)
def test_packed_sentences_are_computed_as_if_alone(mask):
    packed = apply(PARAMS, X, mask)
    for row, segments in enumerate(np.asarray(SEGMENTS)):
        for segment in set(segments) - {0}:
            alone = X[row, segments == segment]
            assert (
                relative_error(packed[row, segments == segment], reference.ssru(double(PARAMS), double(alone))) < 1e-6
            )


def test_no_output_depends_on_a_later_input(whole):
    changed = apply(PARAMS, X.at[:, 4].add(1.0))
    np.testing.assert_array_equal(changed[:, :4], whole[:, :4])
    assert (np.abs(changed - whole)[:, 4:].max(axis=(0, 2)) > 0).all()


class TestStep:
    def start(self, length=LENGTH):
        return UNIT.apply({"params": PARAMS}, (BATCH,), length, method="start_cache")

    @pytest.mark.parametrize("sizes", [(1,) * LENGTH, (3, 1, 3), (LENGTH,)], ids=str)
    @pytest.mark.parametrize("masked", [False, True])
    def test_any_number_of_tokens_at_once(self, whole, sizes, masked):
        cache, start = self.start(LENGTH + 2), 0
        for new in sizes:
            mask = jnp.tril(jnp.ones((1, 1, new, LENGTH + 2), bool), start) if masked else None
            output, cache = apply(PARAMS, X[:, start : start + new], cache, jnp.int32(start), mask, method="step")
            assert relative_error(output, whole[:, start : start + new]) < 1e-6
            start += new

    def test_rows_at_slots_of_their_own(self, whole):
        cache = self.start()
        # Even rows are one token behind odd ones, and write it again.
        for t in range(LENGTH + 1):
            index = jnp.maximum(t - jnp.arange(BATCH) % 2, 0).clip(0, LENGTH - 1)
            x = jnp.take_along_axis(X, index[:, None, None], axis=1)
            output, cache = apply(PARAMS, x, cache, index, method="step")
            assert relative_error(output, jnp.take_along_axis(whole, index[:, None, None], axis=1)) < 1e-6

    def test_hypotheses_that_share_a_cache_continue_their_own_pasts(self):
        """A tree of tokens: each new one continues any of the last three, in the same step or the one before."""
        beam, random = 3, np.random.default_rng(1)
        tokens, cache = draw(BATCH, 4 * beam, D_MODEL, seed=2), self.start(4 * beam)
        pasts = {}
        for position in range(4):
            mask = np.zeros((BATCH, 1, beam, 4 * beam), bool)
            for row in range(BATCH):
                for slot in range(beam):
                    own = position * beam + slot
                    earlier = range(max(0, own - 3), own)
                    before = pasts[row, random.choice(earlier)] if earlier and random.random() < 0.9 else []
                    pasts[row, own] = [*before, own]
                    mask[row, 0, slot, pasts[row, own]] = True
            new = tokens[:, position * beam : (position + 1) * beam]
            index = jnp.int32(position * beam)
            output, cache = apply(PARAMS, new, cache, index, jnp.asarray(mask), method="step")
            for row in range(BATCH):
                for slot in range(beam):
                    path = tokens[row, jnp.asarray(pasts[row, position * beam + slot])]
                    expected = reference.ssru(double(PARAMS), double(path))[-1]
                    np.testing.assert_allclose(output[row, slot], expected, rtol=0, atol=1e-6)
        assert max(map(len, pasts.values())) > 5


def test_is_the_same_under_jit_vmap_and_pmap():
    def recur(params, x, segments):
        return UNIT.apply({"params": params}, x, Segments(segments, segments))

    check_transformations(recur, PARAMS, X, SEGMENTS)


def test_states_and_gates_are_float32_in_a_bfloat16_unit(whole):
    unit = SSRU(D_MODEL, jnp.bfloat16)
    assert unit.apply({"params": PARAMS}, X).dtype == jnp.bfloat16
    cache = unit.apply({"params": PARAMS}, (BATCH,), LENGTH, method="start_cache")
    assert cache.states.dtype == jnp.float32
    assert relative_error(unit.apply({"params": PARAMS}, X).astype(jnp.float32), whole) < 0.01


def test_what_is_refused():
    layer = DecoderLayer(LayerConfig(num_heads=2, d_model=D_MODEL, d_ff=8, decoder_recurrence="ssru"))
    with pytest.raises(ValueError, match="self_bias: a recurrent unit has no scores to add it to"):
        layer.init(jax.random.key(0), X, X, self_bias=jnp.zeros((1, 1, LENGTH, LENGTH)))
