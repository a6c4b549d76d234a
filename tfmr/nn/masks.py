"""Attention masks, True where a query may attend to a key. Padding and packing both come from segment ids.

Segment 0 is padding. A padded batch has the segments {0, 1}; a packed batch numbers the sentences of a row 1, 2, 3, ...
Masks broadcast over heads.
"""

import flax.struct
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Int


@flax.struct.dataclass
class Segments:
    """A mask that lets each query attend to the keys of its own segment, without the array of all pairs.

    Attention that is fused computes the pairs where it needs them.
    """

    query: Int[Array, "*batch query"]
    key: Int[Array, "*batch key"]

    def mask(self) -> Bool[Array, "*batch 1 query key"]:
        """Returns the mask as an array; see `segment_mask`."""
        return segment_mask(self.query, self.key)


def padding_mask(key_segments: Int[Array, "*batch key"]) -> Bool[Array, "*batch 1 1 key"]:
    """Lets every query attend to all keys that are not padding."""
    return (key_segments != 0)[..., None, None, :]


def segment_mask(
    query_segments: Int[Array, "*batch query"], key_segments: Int[Array, "*batch key"]
) -> Bool[Array, "*batch 1 query key"]:
    """Lets each query attend to the keys of its own segment.

    Padding attends to padding, so no row of a self-attention mask is empty.
    """
    return (query_segments[..., :, None] == key_segments[..., None, :])[..., None, :, :]


def look_ahead_mask(length: int) -> Bool[Array, "1 length length"]:
    """Lets each query attend to the keys at its own position and before (section 3.2.3)."""
    return jnp.tril(jnp.ones((1, length, length), dtype=bool))


def boolean(mask: Array) -> Bool[Array, "..."]:
    """Returns the mask; raises TypeError if it is not boolean."""
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"mask.dtype = {mask.dtype}: must be boolean, True where a query may attend; to add to the scores, use bias"
        )
    return mask
