"""Scaled dot-product attention, with or without the scores above the diagonal (section 3.2.1)."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from tfmr.nn.masks import boolean, look_ahead_mask
from tfmr.nn.parameters import with_rank


def scaled_dot_product_attention(
    query: Float[Array, "*batch heads query d_k"],
    key: Float[Array, "*batch heads key d_k"],
    value: Float[Array, "*batch heads key d_v"],
    mask: Bool[Array, "*#batch #heads #query #key"] | None = None,
    *,
    bias: Float[Array, "*#batch #heads #query #key"] | None = None,
    scale: float | None = None,
    dropout: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, "*batch heads query d_v"], Float[Array, "*batch heads query key"]]:
    """softmax(Q K^T / sqrt(d_k) + bias) V (section 3.2.1, equation 1).

    Args:
      query: the queries.
      key: the keys.
      value: the values, one for each key.
      mask: True where a query may attend to a key; None: everywhere. The output and the weights of a query without
        any key are 0.
      bias: added to the scores, such as a relative position bias; None: nothing.
      scale: the factor of the products of queries and keys; None: 1 / sqrt(d_k).
      dropout: applied to the weights before they are multiplied by the values.

    Returns:
      The weighted sums of the values, and the weights before dropout (float32, or float64 if the queries are).

    Raises:
      TypeError: if the mask is not boolean.
    """
    dtype = jnp.promote_types(query.dtype, jnp.float32)
    factor: float = query.shape[-1] ** -0.5 if scale is None else scale
    scores = jnp.einsum("...hqd,...hkd->...hqk", query * factor, key, preferred_element_type=dtype)
    if bias is not None:
        scores += with_rank(bias, scores.ndim).astype(dtype)
    if mask is None:
        seen = None
    else:
        mask = with_rank(boolean(mask), scores.ndim)
        seen = mask.any(axis=-1, keepdims=True)
        # Finite, so that the softmax of a fully masked row and its gradient are finite too.
        scores = jnp.where(mask, scores, jnp.finfo(dtype).min)
    weights = jax.nn.softmax(scores, axis=-1)
    kept = weights if value.dtype == dtype else _rounded_softmax(scores, value.dtype)
    kept = kept if dropout is None else dropout(kept)
    output = jnp.einsum("...hqk,...hkd->...hqd", kept.astype(value.dtype), value)
    return (output, weights) if seen is None else (jnp.where(seen, output, 0), jnp.where(seen, weights, 0))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _rounded_softmax(scores: Float[Array, "*shape"], dtype: DTypeLike) -> Float[Array, "*shape"]:
    """Returns the weights in a narrower type, in which they are also kept for the backward pass."""
    return jax.nn.softmax(scores, axis=-1).astype(dtype)


@_rounded_softmax.defjvp
def _rounded_softmax_jvp(dtype: DTypeLike, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    weights = _rounded_softmax(*primals, dtype)

    @functools.partial(jax.checkpoint, prevent_cse=False)  # keeps its arguments, not their wider copy
    def change(weights: Array, tangent: Array) -> Array:
        weights = weights.astype(tangent.dtype)
        return weights * (tangent - (weights * tangent).sum(axis=-1, keepdims=True))

    return weights, change(weights, *tangents).astype(dtype)


def causal_attention(
    query: Float[Array, "*batch heads length d_k"],
    key: Float[Array, "*batch heads length d_k"],
    value: Float[Array, "*batch heads length d_v"],
    mask: Bool[Array, "*#batch #heads #length #length"] | None = None,
    *,
    bias: Float[Array, "*#batch #heads #length #length"] | None = None,
    scale: float | None = None,
    dropout: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, "*batch heads length d_v"], Float[Array, "*batch heads length length"]]:
    """Scaled dot-product attention in which no position attends to a later one (section 3.2.3).

    Arguments and results are those of `scaled_dot_product_attention`; the mask may exclude more keys. Long sequences
    are split into blocks of queries, and the scores after the end of a block are not computed; see `causal_scores`.
    """
    length = query.shape[-2]
    allowed = look_ahead_mask(length)
    if mask is not None:
        allowed = with_rank(allowed, mask.ndim) & boolean(mask)
    blocks = causal_blocks(length)
    if len(blocks) == 1:
        return scaled_dot_product_attention(query, key, value, allowed, bias=bias, scale=scale, dropout=dropout)
    if bias is not None:
        bias = jnp.broadcast_to(bias, (*bias.shape[:-2], length, length))
    outputs, weights = [], []
    for start, end in blocks:
        rows, columns = slice(start, end), slice(end)
        output, block = scaled_dot_product_attention(
            query[..., rows, :],
            key[..., columns, :],
            value[..., columns, :],
            allowed[..., rows, columns],
            bias=None if bias is None else bias[..., rows, columns],
            scale=scale,
            dropout=dropout,
        )
        outputs.append(output)
        weights.append(jnp.pad(block, [(0, 0)] * (block.ndim - 1) + [(0, length - end)]))
    return jnp.concatenate(outputs, axis=-2), jnp.concatenate(weights, axis=-2)


def causal_scores(length: int) -> int:
    """Returns how many scores `causal_attention` computes for each head.

    It is length^2 for fewer than 128 positions, and 5/8 of length^2 from 256 positions on, rounded to whole blocks.
    """
    return sum((end - start) * end for start, end in causal_blocks(length))


def causal_blocks(length: int) -> list[tuple[int, int]]:
    """Returns the start and end of each block of queries: up to four blocks of at least 64.

    A symbolic length, as in `jax.export`, is a single block.
    """
    if not isinstance(length, int):
        return [(0, length)]
    count = max(1, min(4, length // 64))
    return [(length * i // count, length * (i + 1) // count) for i in range(count)]
