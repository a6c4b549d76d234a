"""Which program computes attention: XLA's own, which can do everything, or a kernel where one can serve."""

import functools
import logging
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Float

from tfmr.nn.masks import Segments
from tfmr.nn.parameters import with_rank
from tfmr.nn.platform import mesh_axes, mesh_parts, platform

log = logging.getLogger("tfmr")

AttentionName = Literal["auto", "xla", "pallas", "cudnn"]
"""auto: pallas on TPUs and cudnn on GPUs where they can serve; xla everywhere else. xla: always. pallas:
`fused_attention`, or for long rows `long_attention`. cudnn: `cudnn_attention`. On other platforms than its own, a
kernel is interpreted, for tests."""

KERNELS = {"tpu": "pallas", "gpu": "cudnn"}
"""The kernel that an automatic choice prefers on each platform."""


def fused_instead(
    name: AttentionName,
    query: Float[Array, "*batch heads query d_k"],
    key: Float[Array, "*batch heads key d_k"],
    value: Float[Array, "*batch heads key d_v"],
    mask: Array | Segments | None,
    *,
    causal: bool,
    bias: Float[Array, "*#batch #heads #query #key"] | None = None,
    scale: float | None = None,
    plain_because: str | None,
) -> Float[Array, "*batch heads query d_v"] | None:
    """Returns the output of a kernel, or None if XLA must compute it. On TPUs and GPUs the log says why, once.

    Args:
      name: the configured attention.
      query, key, value, mask, causal, bias: see `MultiHeadAttention.attend`.
      scale: see `scaled_dot_product_attention`.
      plain_because: a reason of the caller's for which only XLA can serve; None: there is none.
    """
    of_platform = KERNELS.get(platform())
    kind = of_platform if name == "auto" else name
    if kind is None or kind == "xla":
        return None
    reason = plain_because or _why_not(kind, query, key, value, mask, bias)
    if of_platform:
        _log_once(f"attention: XLA, since {reason}" if reason else f"attention: {_kernel(kind, query, key).__name__}")
    if reason:
        return None
    segments = () if mask is None else (mask.query, mask.key)  # pyright: ignore[reportAttributeAccessIssue]
    options: dict[str, Any] = dict(causal=causal, scale=scale, interpret=kind != of_platform)
    kernel = functools.partial(_kernel(kind, query, key), **options)
    return _of_shards(kernel, query, key, value, segments, bias)


@functools.cache
def _log_once(message: str) -> None:
    log.info(message)


def _why_not(
    kind: str, query: Array, key: Array, value: Array, mask: Array | Segments | None, bias: Array | None
) -> str | None:
    """Returns why a kernel cannot serve, or None if it can."""
    if mask is not None and not isinstance(mask, Segments):
        return "it was given a mask"
    if query.ndim != 4:
        return f"the queries have {query.ndim} axes"
    if not all(isinstance(size, int) for x in (query, key) for size in x.shape):
        return "the sizes are symbolic"
    types = {"pallas": (jnp.bfloat16, jnp.float32), "cudnn": (jnp.bfloat16, jnp.float16)}[kind]
    if not query.dtype == key.dtype == value.dtype or query.dtype not in types:
        return f"the type is {query.dtype}"
    reason = _why_not_pallas(query, key, bias) if kind == "pallas" else _why_not_cudnn(query, key, value, bias)
    return reason or _why_not_on_mesh(query.shape[0], query.shape[1])


def _why_not_pallas(query: Array, key: Array, bias: Array | None) -> str | None:
    if bias is not None:
        return "it was given a bias"
    from tfmr.nn.fused_attention import LONGEST  # takes a tenth of a second, which programs without it save

    lengths = query.shape[-2], key.shape[-2]
    if max(lengths) > LONGEST and any(length % 128 for length in lengths):
        return f"rows of {max(lengths)} tokens are longer than {LONGEST} and no multiple of 128"
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        return "jax_enable_x64 is set"
    return None


def _why_not_cudnn(query: Array, key: Array, value: Array, bias: Array | None) -> str | None:
    width = query.shape[-1]
    if width != value.shape[-1] or width % 8 or width > 128:
        return f"heads are {width} and {value.shape[-1]} wide: they must be equal, a multiple of 8, and at most 128"
    lengths = query.shape[-2], key.shape[-2]
    if bias is not None and any(length % 2 for length in lengths):
        return f"it was given a bias, and {lengths[0]} or {lengths[1]} tokens are an odd number"
    return None


def _kernel(kind: str, query: Array, key: Array) -> Callable[..., Array]:
    if kind == "cudnn":
        from tfmr.nn.cudnn_attention import cudnn_attention

        return cudnn_attention
    from tfmr.nn.fused_attention import LONGEST, fused_attention
    from tfmr.nn.long_attention import long_attention

    return long_attention if max(query.shape[-2], key.shape[-2]) > LONGEST else fused_attention


def _why_not_on_mesh(rows: int, heads: int) -> str | None:
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        several = platform() in KERNELS and jax.device_count() > 1
        return "no mesh is set, and the arrays may lie on several devices" if several else None
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        return "the axes of the mesh are not Auto"
    if mesh.size > 1 and not nn.get_logical_axis_rules():
        return "no logical axis rules are active"
    parts = mesh_parts("batch"), mesh_parts("heads")
    if rows % parts[0] or heads % parts[1]:
        return f"{rows} rows and {heads} heads cannot be divided over {parts[0]} x {parts[1]} devices"
    return None


def _of_shards(
    kernel: Callable[..., Array],
    query: Array,
    key: Array,
    value: Array,
    segments: tuple[Array, ...],
    bias: Array | None,
) -> Array:
    """Runs a kernel on every device, for its own rows and heads."""
    rest = segments if bias is None else (*segments, with_rank(bias, 4))
    num_heads = query.shape[1] // mesh_parts("heads")

    def attend(query: Array, key: Array, value: Array, *rest: Array) -> Array:
        options: dict[str, Any] = {} if bias is None else {"bias": rest[-1]}
        return kernel(query, key, value, *rest[: len(segments)], num_heads=num_heads, **options)

    if jax.sharding.get_abstract_mesh().size > 1:
        rows, heads = mesh_axes("batch"), mesh_axes("heads")
        arrays = PartitionSpec(rows, None, heads)
        specs = [arrays] * 3 + [PartitionSpec(rows, None)] * len(segments)
        if bias is not None:
            sizes = rest[-1].shape[:2]  # rows and heads, or 1 where the bias is the same for all of them
            specs += [PartitionSpec(*(axes if n > 1 else None for axes, n in zip((rows, heads), sizes, strict=True)))]
        attend = jax.shard_map(attend, in_specs=tuple(specs), out_specs=arrays, check_vma=False)
    output = attend(_heads_last(query), _heads_last(key), _heads_last(value), *rest)
    return output.reshape(*output.shape[:2], query.shape[1], -1).swapaxes(1, 2)


def _heads_last(x: Float[Array, "batch heads length width"]) -> Float[Array, "batch length heads_x_width"]:
    """Returns the layout of the projections; XLA removes this transposition and theirs."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)
