"""Low-rank changes of matrices (LoRA; Hu et al. 2021): W + alpha / rank * A B, of which only A and B learn."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from tfmr.nn.parameters import with_axis_names


@dataclass(frozen=True)
class LowRank:
    """The shapes of A and B for one parameter.

    The axes of a parameter are its inputs, then its outputs. A is [inputs, rank] and B is [rank, outputs]; both keep
    the axes of the parameter, with their names, so that they are sharded as it is. A stacked parameter has an A and a B
    for each layer.
    """

    shape: tuple[int, ...]
    """Shape of the parameter."""
    axes: tuple[str | None, ...]
    """Logical names of its axes."""
    rank: int
    stacked: bool
    """Whether the first axis is the layer."""

    @property
    def _first_output(self) -> int:
        # Queries, keys and values have two axes of outputs, heads and width. All others have one, the last.
        return len(self.shape) - (2 if self.axes[-2:] == ("heads", "kv") else 1)

    def init(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """Returns the initial A, normal with a variance of 1 / inputs, and B, which is 0, so that nothing changes.

        Both are boxed with the names of their axes if there are rules for these.
        """
        first, lead = self._first_output, int(self.stacked)
        inputs, outputs = self.shape[lead:first], self.shape[first:]
        layers, layer_names = self.shape[:lead], self.axes[:lead]
        normal = nn.initializers.normal(math.prod(inputs) ** -0.5)
        a = with_axis_names(normal, (*layer_names, *self.axes[lead:first], "lora_rank"))
        b = with_axis_names(nn.initializers.zeros, (*layer_names, "lora_rank", *self.axes[first:]))
        return (
            a(key, (*layers, *inputs, self.rank), jnp.float32),
            b(key, (*layers, self.rank, *outputs), jnp.float32),
        )

    def product(self, a: Float[Array, "*a"], b: Float[Array, "*b"]) -> Float[Array, "*parameter"]:
        """Returns A B in the shape of the parameter, in full precision on every chip."""

        def product(a: Array, b: Array) -> Array:
            return jnp.tensordot(a, b, axes=1, precision=jax.lax.Precision.HIGHEST)

        return jax.vmap(product)(a, b) if self.stacked else product(a, b)
