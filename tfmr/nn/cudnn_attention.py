"""Scaled dot-product attention on NVIDIA GPUs: cuDNN's fused kernel, which does not write the scores to memory."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from tfmr.nn.masks import segment_mask


def cudnn_attention(
    query: Float[Array, "batch query heads_x_width"],
    key: Float[Array, "batch key heads_x_width"],
    value: Float[Array, "batch key heads_x_width"],
    query_segments: Int[Array, "batch query"] | None = None,
    key_segments: Int[Array, "batch key"] | None = None,
    *,
    num_heads: int,
    causal: bool = False,
    scale: float | None = None,
    bias: Float[Array, "#batch #heads query key"] | None = None,
    interpret: bool = False,
) -> Float[Array, "batch query heads_x_width"]:
    """softmax(Q K^T / sqrt(width) + bias) V for each head; other arguments and the result are `fused_attention`'s.

    The type is bfloat16 or float16, and the width of a head is a multiple of 8 and at most 128. The bias has a
    gradient; it is rounded to the same type, and with it all lengths must be even. `interpret` leaves all of it to
    XLA.
    """
    heads = [x.reshape(*x.shape[:2], num_heads, -1) for x in (query, key, value)]
    mask = None
    if query_segments is not None and key_segments is not None:
        mask = segment_mask(query_segments, key_segments)
    implementation = "xla" if interpret else "cudnn"
    options = dict(scale=scale, is_causal=causal, implementation=implementation)
    bias = None if bias is None else bias.astype(query.dtype)
    output = jax.nn.dot_product_attention(*heads, bias=bias, mask=mask, **options)
    output = output.reshape(*query.shape[:2], -1)
    # A query without any key would get the mean of all values.
    return output if mask is None else jnp.where(mask.any(axis=(1, 3))[:, :, None], output, 0)
