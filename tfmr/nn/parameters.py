"""Float32 parameters with logical axis names for programs that shard them."""

from collections.abc import Callable
from typing import Any

import flax.errors
import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax


def parameter(module: nn.Module, name: str, init: Any, axes: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    """Declares a float32 parameter of a module, with a logical name for each axis, and returns its value."""
    if not module.has_variable("params", name):
        return module.param(name, with_axis_names(init, axes), shape, jnp.float32)
    # `Module.param` would trace the initialiser again for its shape, which takes half the time of tracing a model.
    value = nn.unbox(module.get_variable("params", name))
    if value.shape != shape:
        raise flax.errors.ScopeParamShapeError(name, "/".join(module.path), value.shape, shape)
    return value


def with_axis_names(init: Callable[..., Any], axes: tuple[str | None, ...]) -> Callable[..., Any]:
    """Returns an initialiser that boxes its array with logical names if `flax.linen.logical_axis_rules` are active.

    Without rules nothing reads the names, and parameters are plain arrays.
    """
    return nn.with_logical_partitioning(init, axes) if nn.get_logical_axis_rules() else init


def with_rank(x: Array, ndim: int) -> Array:
    """Returns x with leading axes of size 1, so that it has `ndim` axes and broadcasts without rank promotion."""
    return lax.expand_dims(x, range(ndim - x.ndim))


def resized(x: Array, length: int, axis: int) -> Array:
    """Returns x with `length` elements along an axis: the first ones, or all of them and then zeros."""
    if x.shape[axis] == length:
        return x
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (0, length - x.shape[axis], 0)
    return lax.pad(x, jnp.zeros((), x.dtype), padding)  # which removes elements if the padding is negative
