"""Masks against their definitions, entry by entry."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfmr.nn import look_ahead_mask, padding_mask, segment_mask

# One shape, so that little is compiled; the values are what matters.
SEGMENTS = hnp.arrays(np.int32, (2, 6), elements=st.integers(0, 3))
KEY_SEGMENTS = hnp.arrays(np.int32, (2, 4), elements=st.integers(0, 3))


@settings(max_examples=25, deadline=None)
@given(KEY_SEGMENTS)
def test_padding_mask_hides_segment_0_from_all(keys):
    mask = np.asarray(padding_mask(jnp.asarray(keys)))
    assert mask.shape == (2, 1, 1, 4)
    for b in range(2):
        for k in range(4):
            assert mask[b, 0, 0, k] == (keys[b, k] != 0)


@settings(max_examples=25, deadline=None)
@given(SEGMENTS, KEY_SEGMENTS)
def test_segment_mask_shows_the_own_segment(queries, keys):
    mask = np.asarray(segment_mask(jnp.asarray(queries), jnp.asarray(keys)))
    assert mask.shape == (2, 1, 6, 4)
    for b in range(2):
        for q in range(6):
            for k in range(4):
                assert mask[b, 0, q, k] == (queries[b, q] == keys[b, k])


@settings(max_examples=25, deadline=None)
@given(SEGMENTS)
def test_no_row_of_a_self_attention_mask_is_empty(segments):
    mask = np.asarray(segment_mask(jnp.asarray(segments), jnp.asarray(segments)) & look_ahead_mask(6))
    assert mask.any(axis=-1).all()


def test_look_ahead_mask_shows_the_own_position_and_those_before():
    expected = [[[True, False, False], [True, True, False], [True, True, True]]]
    assert look_ahead_mask(3).tolist() == expected


def test_masks_are_the_same_under_jit_vmap_and_pmap():
    segments = jnp.asarray(np.random.default_rng(0).integers(0, 3, (8, 5)))

    def masks(segments):
        return padding_mask(segments), segment_mask(segments, segments) & look_ahead_mask(5)

    plain = masks(segments)
    shards = segments.reshape(4, 2, 5)
    for other in (jax.jit(masks)(segments), jax.vmap(masks)(segments), jax.pmap(masks)(shards)):
        for x, y in zip(plain, other, strict=True):
            np.testing.assert_array_equal(x, np.asarray(y).reshape(x.shape))
