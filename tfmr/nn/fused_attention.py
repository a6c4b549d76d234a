"""Scaled dot-product attention as a TPU kernel, for rows of at most 1024 tokens.

XLA writes the scores to main memory and reads them again several times, forward and backward, which takes longer than
the products. Here the scores of a row stay on the chip. The forward pass writes the output and the logarithm of the
normaliser of each query, from which the backward pass computes the weights again.

The arrays keep the layout of the projections, [batch, length, heads * width], so nothing is transposed. A TPU
multiplies 128 numbers at a time: heads of 64 are read in pairs, and in one factor of each product the lanes of the
other head are set to zero. That takes no longer than multiplying 64 numbers.

No mask is read from memory: the kernel computes it from the segments and from the order of the tokens. A query
without any key has a largest score of -1e30. Its output is set to 0 and its logarithm to infinity, so that its weights
are 0 in the backward pass.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Bool, Float, Int

from tfmr.nn.platform import KEPT_BY_KERNELS

LONGEST = 1024
"""The most queries or keys of a row. The kernel has code for every block of 256 x 256 scores: with more of them it
takes long to compile, and the scores of a row no longer fit on every chip."""

_LANES = 128
_BLOCK = 256  # queries, or keys in the backward pass, whose scores are computed at a time
_BLOCK_BYTES = 8 * 2**20  # of inputs and outputs on the chip; the scores take the rest of the 16 MiB that every TPU has
_MASKED = -1e30  # the score of a key that a query does not attend to; infinity would give NaN if there is no other key


def fused_attention(
    query: Float[Array, "*batch query heads_x_d_k"],
    key: Float[Array, "*batch key heads_x_d_k"],
    value: Float[Array, "*batch key heads_x_d_v"],
    query_segments: Int[Array, "*batch query"] | None = None,
    key_segments: Int[Array, "*batch key"] | None = None,
    *,
    num_heads: int,
    causal: bool = False,
    scale: float | None = None,
    interpret: bool = False,
) -> Float[Array, "*batch query heads_x_d_v"]:
    """softmax(Q K^T / sqrt(d_k)) V for each head, in which a query attends to the keys of its own segment.

    Only the first derivative in reverse mode is defined.

    Args:
      query: the queries, in bfloat16 or float32, one head after another.
      key: the keys.
      value: the values, one for each key.
      query_segments: the segment of each query, at least 0; None: every query attends to all keys.
      key_segments: the segment of each key; None exactly if query_segments is None.
      num_heads: number of heads.
      causal: no query attends to a later key.
      scale: the factor of the products of queries and keys; None: 1 / sqrt(d_k).
      interpret: run on any device, slowly, for tests.

    Returns:
      The weighted sums of the values; 0 for a query without any key.
    """
    batch, queries, keys = query.shape[:-2], query.shape[-2], key.shape[-2]
    if query_segments is None or key_segments is None:
        query_segments, key_segments = jnp.zeros((*batch, queries), int), jnp.zeros((*batch, keys), int)
    d_k, d_v = query.shape[-1] // num_heads, value.shape[-1] // num_heads
    shape = _Shape.of(num_heads, d_k, d_v, d_k**-0.5 if scale is None else scale, causal, interpret)
    rows = math.prod(batch)
    joined = _rows_to_join(rows, max(queries, keys))

    def heads(x: Array, width: int, padded: int) -> Array:
        return _padded(x.reshape(rows // joined, -1, num_heads, width), shape.heads, padded)

    def segments(x: Array) -> Array:
        row = jnp.arange(rows, dtype=jnp.int32)[:, None] % joined
        return (x.reshape(rows, -1).astype(jnp.int32) * joined + row).reshape(rows // joined, 1, -1)

    output: Any = _attention(
        heads(query, d_k, shape.d_k),
        heads(key, d_k, shape.d_k),
        heads(value, d_v, shape.d_v),
        segments(query_segments),
        segments(key_segments),
        shape,
    )
    if (num_heads, d_v) != (shape.heads, shape.d_v):
        output = output.reshape(*output.shape[:2], shape.heads, shape.d_v)[:, :, :num_heads, :d_v]
    return output.reshape(*batch, queries, num_heads * d_v)


def _rows_to_join(rows: int, length: int) -> int:
    """Returns how many short rows are computed as one, with a segment for each, to fill the lanes."""
    return max(n for n in range(1, max(2, _LANES // length + 1)) if rows % n == 0)


def _padded(x: Float[Array, "batch length heads width"], heads: int, width: int) -> Float[Array, "batch length lanes"]:
    """Appends heads, and zeros to every head."""
    more_heads, wider = heads - x.shape[2], width - x.shape[3]
    if more_heads or wider:
        x = jnp.pad(x, ((0, 0), (0, 0), (0, more_heads), (0, wider)))
    return x.reshape(*x.shape[:2], -1)


class _Shape(NamedTuple):
    """What a kernel is compiled for, besides the shapes of its arguments."""

    heads: int
    d_k: int
    d_v: int
    together: int
    """The number of heads that are read together, since they share lanes."""
    scale: float
    causal: bool
    interpret: bool

    @classmethod
    def of(cls, heads: int, d_k: int, d_v: int, scale: float, causal: bool, interpret: bool) -> "_Shape":
        """Rounds the widths up to a divisor or a multiple of 128, and the heads to a multiple of those together."""
        padded_k, padded_v = _padded_width(d_k), _padded_width(d_v)
        together = min(heads, max(1, _LANES // padded_k, _LANES // padded_v))
        return cls(-(-heads // together) * together, padded_k, padded_v, together, scale, causal, interpret)

    def slices(self, group: Any) -> tuple[Any, Any]:
        """Returns the lanes of a group of heads that are read together, in keys and in values."""
        k, v = self.together * self.d_k, self.together * self.d_v
        return pl.ds(pl.multiple_of(group * k, k), k), pl.ds(pl.multiple_of(group * v, v), v)


def _padded_width(width: int) -> int:
    return 1 << (width - 1).bit_length() if width < _LANES else -(-width // _LANES) * _LANES


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _attention(query: Array, key: Array, value: Array, query_segments: Array, key_segments: Array, shape: _Shape):
    return _forward(query, key, value, query_segments, key_segments, shape)[0]


def _forward_rule(query: Array, key: Array, value: Array, query_segments: Array, key_segments: Array, shape: _Shape):
    output, logsumexp = (
        checkpoint_name(x, KEPT_BY_KERNELS) for x in _forward(query, key, value, query_segments, key_segments, shape)
    )
    return output, (query, key, value, query_segments, key_segments, output, logsumexp)


def _backward_rule(shape: _Shape, kept: tuple[Array, ...], gradient: Array):
    return *_backward(shape, *kept, gradient), None, None


_attention.defvjp(_forward_rule, _backward_rule)


def _forward(query: Array, key: Array, value: Array, query_segments: Array, key_segments: Array, shape: _Shape):
    """Returns the output, and the logarithm of each query's sum of exponentiated scores (logsumexp)."""
    rows, queries, _ = query.shape
    arrays = query, key, value, query_segments, key_segments
    results = (
        jax.ShapeDtypeStruct((rows, queries, shape.heads * shape.d_v), query.dtype),
        jax.ShapeDtypeStruct((rows, shape.heads // shape.together, shape.together, queries), jnp.float32),
    )
    return _call(_forward_kernel, "attention_forward", arrays, results, shape)


def _backward(shape: _Shape, query: Array, key: Array, value: Array, *rest: Array):
    """Returns the gradients of the queries, keys and values."""
    results = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (query, key, value))
    return _call(_backward_kernel, "attention_backward", (query, key, value, *rest), results, shape)


def _call(kernel: Callable, name: str, arrays: Sequence[Array], results: Sequence[Any], shape: _Shape) -> Any:
    """Runs a kernel on each row and each part of its heads: as many heads at a time as the chip has room for."""
    groups = shape.heads // shape.together
    rows = arrays[0].shape[0]

    def bytes_of(parts: int) -> int:
        sizes = (x.size * x.dtype.itemsize // (1 if x.shape[1] == 1 else parts) for x in (*arrays, *results))
        return 2 * sum(sizes) // rows  # twice: the next part is read while this one is computed

    divisors = [n for n in range(1, groups + 1) if groups % n == 0]
    parts = next((n for n in divisors if bytes_of(n) <= _BLOCK_BYTES), groups)

    def block(x: Any) -> pl.BlockSpec:
        if x.ndim == 4:  # logsumexp
            return pl.BlockSpec((None, groups // parts, *x.shape[2:]), lambda row, part: (row, part, 0, 0))
        if x.shape[1] == 1:  # segments
            return pl.BlockSpec((None, *x.shape[1:]), lambda row, part: (row, 0, 0))
        return pl.BlockSpec((None, x.shape[1], x.shape[2] // parts), lambda row, part: (row, 0, part))

    @jax.custom_jvp
    def call(*arrays: Array) -> Any:
        return pl.pallas_call(
            functools.partial(kernel, shape=shape, groups=groups // parts),
            out_shape=results,
            grid=(rows, parts),
            in_specs=[block(x) for x in arrays],
            out_specs=[block(x) for x in results],
            compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel")),
            cost_estimate=_cost(arrays, results, shape),
            interpret=shape.interpret,
            name=name,
        )(*arrays)

    @call.defjvp
    def _(*_: Any):
        raise TypeError("fused attention has no second derivative: set attention = 'xla'")

    return call(*arrays)


def _cost(arrays: Sequence[Array], results: Sequence[Any], shape: _Shape) -> pl.CostEstimate:
    """Returns what the compiler and `tfmr compile` take a kernel's work to be."""
    query, key = arrays[:2]
    ends = _blocks(query.shape[1])
    scores = sum((end - start) * (end if shape.causal else key.shape[1]) for start, end in ends)
    scores *= shape.heads * query.shape[0]
    # Of each product with the scores, all lanes that heads share are computed. The backward pass has two with values.
    of_keys, of_values = (1, 1) if len(arrays) == 5 else (3, 2)
    lanes = shape.together * (of_keys * shape.d_k + of_values * shape.d_v)
    return pl.CostEstimate(
        flops=2 * scores * lanes,
        transcendentals=scores,
        bytes_accessed=sum(x.size * x.dtype.itemsize for x in (*arrays, *results)),
    )


def _forward_kernel(query, key, value, query_segments, key_segments, output, logsumexp, *, shape: _Shape, groups: int):
    query_segments, key_segments = _column(query_segments[...]), key_segments[...]
    blocks = _blocks(query.shape[0])

    # Two groups at a time, or several blocks: the chip computes one while it waits for results of another.
    @pl.loop(0, groups, unroll=2 if groups % 2 == 0 and len(blocks) == 1 else 1)
    def _(group: Any):
        k_lanes, v_lanes = shape.slices(group)
        for start, stop in blocks:
            end = stop if shape.causal else key.shape[0]
            q, k, v = query[start:stop, k_lanes] * shape.scale, key[:end, k_lanes], value[:end, v_lanes]
            mask = _mask(query_segments[start:stop], key_segments[:, :end], 0, start if shape.causal else None)
            largest, sums, outputs = [], [], []
            for head in range(shape.together):
                scores = jnp.where(mask, _product(_only(q, head, shape.d_k), k, 1, 1), _MASKED)
                largest.append(scores.max(axis=1, keepdims=True))
                weights = jnp.exp(scores - largest[-1])
                sums.append(weights.sum(axis=1, keepdims=True))
                outputs.append(_product(weights.astype(v.dtype), v, 1, 0))
            seen = _merged(largest, shape.d_v) > _MASKED
            mean = _merged(outputs, shape.d_v) / _merged(sums, shape.d_v)
            output[start:stop, v_lanes] = jnp.where(seen, mean, 0.0).astype(output.dtype)
            rows = _rows(largest + sums)
            largest_row, sum_row = rows[: shape.together], rows[shape.together :]
            infinite = largest_row == _MASKED
            logsumexp[group, :, start:stop] = jnp.where(infinite, jnp.inf, largest_row + jnp.log(sum_row))


def _backward_kernel(
    query,
    key,
    value,
    query_segments,
    key_segments,
    output,
    logsumexp,
    gradient,
    d_query,
    d_key,
    d_value,
    *,
    shape,
    groups,
):
    # Scores are [key, query] here: the numbers of a query are rows, and only the product for d_query needs a transposed
    # copy.
    query_segments, key_segments = query_segments[...], _column(key_segments[...])

    @pl.loop(0, groups)
    def _(group: Any):
        k_lanes, v_lanes = shape.slices(group)
        q, g = query[:, k_lanes] * shape.scale, gradient[:, v_lanes]
        product = output[:, v_lanes].astype(jnp.float32) * g.astype(jnp.float32)
        heads = range(shape.together)
        deltas = _rows([_only(product, head, shape.d_v).sum(axis=1, keepdims=True) for head in heads])
        dq = jnp.zeros(q.shape, jnp.float32)
        for start, stop in _blocks(key.shape[0]):
            begin = start if shape.causal else 0
            k, v = key[start:stop, k_lanes], value[start:stop, v_lanes]
            mask = _mask(key_segments[start:stop], query_segments[:, begin:], 1, 0 if shape.causal else None)
            dk, dv = jnp.zeros(k.shape, jnp.float32), jnp.zeros(v.shape, jnp.float32)
            for head in heads:
                q_head, g_head = _only(q[begin:], head, shape.d_k), _only(g[begin:], head, shape.d_v)
                scores = jnp.where(mask, _product(k, q_head, 1, 1), _MASKED)
                weights = jnp.exp(scores - logsumexp[group, head : head + 1, begin:])
                d_weights = _product(v, g_head, 1, 1)
                d_scores = (weights * (d_weights - deltas[head : head + 1, begin:])).astype(q.dtype)
                dv += _product(weights.astype(g.dtype), g_head, 1, 0)
                dk += _product(d_scores, q_head, 1, 0)
                more = _product(d_scores, _only(k, head, shape.d_k), 0, 0)
                dq = dq + more if begin == 0 else jnp.concatenate([dq[:begin], dq[begin:] + more])
            d_key[start:stop, k_lanes], d_value[start:stop, v_lanes] = dk.astype(d_key.dtype), dv.astype(d_value.dtype)
        d_query[:, k_lanes] = (dq * shape.scale).astype(d_query.dtype)


def _mask(
    column: Int[Array, "m 1"], row: Int[Array, "1 n"], query_axis: int, look_ahead: int | None
) -> Bool[Array, "m n"]:
    """Returns where a query attends to a key of its segment, and with `look_ahead` to none after its own place.

    `look_ahead` is the number of tokens between the first key and the first query.
    """
    mask = column == row
    if look_ahead is not None:
        query, key = (lax.broadcasted_iota(jnp.int32, mask.shape, axis) for axis in (query_axis, 1 - query_axis))
        mask &= query + look_ahead >= key
    return mask


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + _BLOCK, length)) for start in range(0, length, _BLOCK)]


def _product(x: Array, y: Array, x_axis: int, y_axis: int) -> Float[Array, "m n"]:
    """Multiplies matrices, summing over an axis of each."""
    return lax.dot_general(x, y, (((x_axis,), (y_axis,)), ((), ())), preferred_element_type=jnp.float32)


def _only(x: Float[Array, "length lanes"], head: int, width: int) -> Float[Array, "length lanes"]:
    """Sets the lanes of all other heads to zero."""
    if x.shape[1] == width:
        return x
    lane = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    return jnp.where((lane >= head * width) & (lane < (head + 1) * width), x, jnp.zeros_like(x))


def _merged(heads: Sequence[Float[Array, "length #lanes"]], width: int) -> Float[Array, "length lanes"]:
    """Takes the lanes of each head from its array."""
    merged = heads[0]
    lane = lax.broadcasted_iota(jnp.int32, (merged.shape[0], len(heads) * width), 1)
    for head, x in enumerate(heads[1:], 1):
        merged = jnp.where(lane < head * width, merged, x)
    return merged


def _rows(columns: Sequence[Float[Array, "length 1"]]) -> Float[Array, "columns length"]:
    """Turns columns to rows."""
    lane = lax.broadcasted_iota(jnp.int32, (columns[0].shape[0], _LANES), 1)
    square = jnp.zeros(lane.shape, jnp.float32)
    for i, column in enumerate(columns):
        square = jnp.where(lane == i, column, square)
    return square.T[: len(columns)]


def _column(row: Int[Array, "1 length"]) -> Int[Array, "length 1"]:
    return jnp.broadcast_to(row, (_LANES, row.shape[1])).T[:, :1]
