"""Float32 parameters with logical axis names for programs that shard them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax


def parameter(module: nn.Module, name: str, init: Any, axes: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    """Declares a float32 parameter of a module, with a logical name for each axis, and returns its value."""
    if module.has_variable("params", name):
        # Flax traces the initialiser of an existing parameter to check its shape; a simple one is traced faster.
        init = nn.initializers.zeros
    value: Any = module.param(name, with_axis_names(init, axes), shape, jnp.float32)
    return value


def with_axis_names(init: Callable[..., Any], axes: tuple[str | None, ...]) -> Callable[..., Any]:
    """Returns an initialiser that boxes its array with logical names if `flax.linen.logical_axis_rules` are active.

    Without rules nothing reads the names, and parameters are plain arrays.
    """
    return nn.with_logical_partitioning(init, axes) if nn.get_logical_axis_rules() else init


def with_rank(x: Array, ndim: int) -> Array:
    """Returns x with leading axes of size 1, so that it has `ndim` axes and broadcasts without rank promotion."""
    return lax.expand_dims(x, range(ndim - x.ndim))
