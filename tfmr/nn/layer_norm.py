"""Layer normalisation (Ba, Kiros and Hinton, 2016), which every sub-layer has."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from tfmr.nn.parameters import parameter, with_rank


class LayerNorm(nn.Module):
    """Normalises the last axis to mean 0 and variance 1, then scales by gamma and shifts by beta.

    Attributes:
      epsilon: added to the (biased) variance.
      dtype: data type of the result; the statistics are always computed in float32.
      use_bias: whether there is a beta.
    """

    epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "*batch d_model"]) -> Float[Array, "*batch d_model"]:
        """Returns gamma * (x - mean) / sqrt(variance + epsilon) + beta, over the last axis."""
        shape = (x.shape[-1],)
        gamma = parameter(self, "gamma", nn.initializers.ones, ("embed",), shape)
        beta = parameter(self, "beta", nn.initializers.zeros, ("embed",), shape) if self.use_bias else None
        x = x.astype(jnp.float32)
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred * lax.rsqrt(variance + self.epsilon) * with_rank(gamma, x.ndim)
        return (scaled if beta is None else scaled + with_rank(beta, x.ndim)).astype(self.dtype)
