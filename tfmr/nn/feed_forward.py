"""Position-wise feed-forward networks (section 3.3)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float


class PositionwiseFeedForward(nn.Module):
    """FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, the same at every position (equation 2).

    Attributes:
      d_ff: inner width.
      dtype: type of the computation; parameters are float32.
    """

    d_ff: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch length d_model"]) -> Float[Array, "*batch length d_model"]:
        """Returns FFN(x)."""
        inner = nn.relu(self._dense("up", self.d_ff, ("embed", "mlp"))(x))
        return self._dense("down", x.shape[-1], ("mlp", "embed"))(inner)

    def _dense(self, name: str, features: int, axes: tuple[str, str]) -> nn.Dense:
        return nn.Dense(
            features,
            dtype=self.dtype,
            kernel_init=nn.with_logical_partitioning(nn.initializers.glorot_uniform(), axes),
            bias_init=nn.with_logical_partitioning(nn.initializers.zeros, axes[1:]),
            name=name,
        )
