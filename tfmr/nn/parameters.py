"""Parameters with logical axis names, which `tfmr.training.sharding` maps to the axes of a mesh."""

from typing import Any

import flax.linen as nn
from jax import Array


def parameter(module: nn.Module, name: str, init: Any, axes: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    """Declares a float32 parameter of a module, with a logical name for each axis, and returns its value."""
    value: Any = module.param(name, nn.with_logical_partitioning(init, axes), shape)
    return value
