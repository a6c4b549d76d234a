"""Root mean square normalisation (Zhang and Sennrich, 2019): layer normalisation without mean and shift."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from tfmr.nn.parameters import parameter, with_rank


class RMSNorm(nn.Module):
    """Divides the last axis by its root mean square, then scales by gamma.

    Attributes:
      epsilon: added to the mean of the squares.
      dtype: data type of the result; the mean is always computed in float32.
    """

    epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch d_model"]) -> Float[Array, "*batch d_model"]:
        """Returns gamma * x / sqrt(mean(x^2) + epsilon), over the last axis."""
        gamma = parameter(self, "gamma", nn.initializers.ones, ("embed",), (x.shape[-1],))
        x = x.astype(jnp.float32)
        scale = lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + self.epsilon)
        return (x * scale * with_rank(gamma, x.ndim)).astype(self.dtype)
