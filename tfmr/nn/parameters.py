"""Parameters whose axes carry logical names; one table maps these to the axes of a mesh."""

from typing import Any

import flax.linen as nn
from jax import Array


def parameter(module: nn.Module, name: str, init: Any, axes: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    """Makes, or gets, a float32 parameter of a module, with a logical name for each axis."""
    value: Any = module.param(name, nn.with_logical_partitioning(init, axes), shape)
    return value
