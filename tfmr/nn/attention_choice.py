"""Which program computes attention: XLA's own, which can do everything, or a kernel where one can serve."""

import functools
import logging
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Float

from tfmr.nn.masks import Segments
from tfmr.nn.platform import platform

log = logging.getLogger("tfmr")

AttentionName = Literal["auto", "xla", "pallas"]
"""auto: pallas on TPUs where it can serve; xla everywhere else. xla: always. pallas: `fused_attention` where it can
serve, which is interpreted on other platforms than a TPU, for tests."""


def fused_instead(
    name: AttentionName,
    query: Float[Array, "*batch heads query d_k"],
    key: Float[Array, "*batch heads key d_k"],
    value: Float[Array, "*batch heads key d_v"],
    mask: Array | Segments | None,
    *,
    causal: bool,
    plain_because: str | None,
) -> Float[Array, "*batch heads query d_v"] | None:
    """Returns the output of fused attention, or None if XLA must compute it. On TPUs the log says why, once.

    Args:
      name: the configured attention.
      query, key, value, mask, causal: see `MultiHeadAttention.attend`.
      plain_because: a reason of the caller's for which only XLA can serve; None: there is none.
    """
    on_tpu = platform() == "tpu"
    if name == "xla" or (name == "auto" and not on_tpu):
        return None
    reason = plain_because or _why_not(query, key, value, mask)
    if on_tpu:
        _log_once(f"attention: XLA, since {reason}" if reason else "attention: fused")
    if reason:
        return None
    segments = () if mask is None else (mask.query, mask.key)  # pyright: ignore[reportAttributeAccessIssue]
    return _of_shards(query, key, value, segments, causal=causal, interpret=not on_tpu)


@functools.cache
def _log_once(message: str) -> None:
    log.info(message)


def _why_not(query: Array, key: Array, value: Array, mask: Array | Segments | None) -> str | None:
    """Returns why fused attention cannot serve, or None if it can."""
    from tfmr.nn.fused_attention import LONGEST  # takes a tenth of a second, which programs without it save

    if mask is not None and not isinstance(mask, Segments):
        return "it was given a mask"
    if query.ndim != 4:
        return f"the queries have {query.ndim} axes"
    if not all(isinstance(size, int) for x in (query, key) for size in x.shape):
        return "the sizes are symbolic"
    if (longest := max(query.shape[-2], key.shape[-2])) > LONGEST:
        return f"rows of {longest} tokens are longer than {LONGEST}"
    if not query.dtype == key.dtype == value.dtype or query.dtype not in (jnp.bfloat16, jnp.float32):
        return f"the type is {query.dtype}"
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        return "jax_enable_x64 is set"
    return _why_not_on_mesh(query.shape[0], query.shape[1])


def _why_not_on_mesh(rows: int, heads: int) -> str | None:
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        several = platform() == "tpu" and jax.device_count() > 1
        return "no mesh is set, and the arrays may lie on several devices" if several else None
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        return "the axes of the mesh are not Auto"
    if mesh.size > 1 and not nn.get_logical_axis_rules():
        return "no logical axis rules are active"
    parts = [_parts(axes) for axes in _mesh_axes()]
    if rows % parts[0] or heads % parts[1]:
        return f"{rows} rows and {heads} heads cannot be divided over {parts[0]} x {parts[1]} devices"
    return None


def _mesh_axes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the axes of the mesh that rows and heads are split over."""
    rows, heads = nn.logical_to_mesh_axes(("batch", "heads")) or (None, None)
    as_tuple = lambda axes: (axes,) if isinstance(axes, str) else tuple(axes or ())  # noqa: E731
    return as_tuple(rows), as_tuple(heads)


def _parts(axes: tuple[str, ...]) -> int:
    shape, parts = jax.sharding.get_abstract_mesh().shape, 1
    for axis in axes:
        parts *= shape[axis]
    return parts


def _of_shards(
    query: Array, key: Array, value: Array, segments: tuple[Array, ...], *, causal: bool, interpret: bool
) -> Array:
    """Computes fused attention on every device, for its own rows and heads."""
    from tfmr.nn.fused_attention import fused_attention

    sharded = jax.sharding.get_abstract_mesh().size > 1
    rows, heads = _mesh_axes() if sharded else ((), ())
    num_heads = query.shape[1] // _parts(heads)

    def attend(query: Array, key: Array, value: Array, *segments: Array) -> Array:
        options = dict(num_heads=num_heads, causal=causal, interpret=interpret)
        return fused_attention(query, key, value, *segments, **options)

    if sharded:
        arrays = (PartitionSpec(rows, None, heads),) * 3 + (PartitionSpec(rows, None),) * len(segments)
        attend = jax.shard_map(attend, in_specs=arrays, out_specs=arrays[0], check_vma=False)
    output = attend(_heads_last(query), _heads_last(key), _heads_last(value), *segments)
    return output.reshape(*output.shape[:2], query.shape[1], -1).swapaxes(1, 2)


def _heads_last(x: Float[Array, "batch heads length width"]) -> Float[Array, "batch length heads_x_width"]:
    """Returns the layout of the projections; XLA removes this transposition and theirs."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)
