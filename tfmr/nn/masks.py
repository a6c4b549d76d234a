"""Attention masks, all made from segment ids: True where a query may look.

Segment 0 is padding. A padded batch has the segments {0, 1}; a packed one
numbers the sentences of a row 1, 2, 3, ... Masks broadcast over heads.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Int


def padding_mask(key_segments: Int[Array, "*batch key"]) -> Bool[Array, "*batch 1 1 key"]:
    """Keys that are not padding, for every query."""
    return (key_segments != 0)[..., None, None, :]


def segment_mask(
    query_segments: Int[Array, "*batch query"], key_segments: Int[Array, "*batch key"]
) -> Bool[Array, "*batch 1 query key"]:
    """Keys of the query's own segment.

    Padding looks at padding only, so no row of a self-attention mask is empty.
    """
    return (query_segments[..., :, None] == key_segments[..., None, :])[..., None, :, :]


def look_ahead_mask(length: int) -> Bool[Array, "1 length length"]:
    """Keys at or before the query's place (section 3.2.3)."""
    return jnp.tril(jnp.ones((1, length, length), dtype=bool))
