"""Position-wise feed-forward networks (section 3.3)."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float

from tfmr.nn.dropout import Dropout
from tfmr.nn.parameters import with_axis_names
from tfmr.nn.projection import project

Activation = Literal["relu", "gelu", "gelu_exact", "swish"] | Callable[[Array], Array]

_ACTIVATIONS: dict[Any, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=True),
    "gelu_exact": functools.partial(nn.gelu, approximate=False),
    "swish": nn.swish,
}


class PositionwiseFeedForward(nn.Module):
    """FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, applied to each position identically (equation 2).

    Attributes:
      d_ff: inner width.
      dtype: data type of the computation; parameters are float32.
      activation: "relu", max(0, x), as in the paper; "gelu", x Phi(x) in the tanh approximation of GPT-2,
        0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); "gelu_exact", x Phi(x) itself, as in BART; "swish",
        x / (1 + exp(-x)), also known as SiLU; or a function of an array.
      use_bias: add the biases b_1 and b_2.
      gated: the input of the down-projection is activation(x W_gate) * (x W_1), with a third matrix of the same size
        (Shazeer 2020).
      up_init: initialiser of the up-projection and the gate; None: Glorot uniform.
      down_init: initialiser of the down-projection; None: Glorot uniform.
      dropout_rate: dropout rate for the input of the down-projection.
    """

    d_ff: int
    dtype: DTypeLike = jnp.float32
    activation: Activation = "relu"
    use_bias: bool = True
    gated: bool = False
    up_init: Callable[..., Any] | None = None
    down_init: Callable[..., Any] | None = None
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch length d_model"], *, deterministic: bool = True
    ) -> Float[Array, "*batch length d_model"]:
        """Returns FFN(x). With `deterministic=False` dropout uses the random stream `dropout`.

        Raises:
          ValueError: for an unknown name of an activation.
        """
        activation = self.activation if callable(self.activation) else _ACTIVATIONS.get(self.activation)
        if activation is None:
            names = ", ".join(_ACTIVATIONS)
            raise ValueError(f"activation = {self.activation!r}: must be one of {names}, or a function of an array")
        inner = self._dense("up", self.d_ff, ("embed", "mlp"), self.up_init)(x)
        if self.gated:
            inner = activation(self._dense("gate", self.d_ff, ("embed", "mlp"), self.up_init)(x)) * inner
        else:
            inner = activation(inner)
        inner = Dropout(self.dropout_rate)(inner, deterministic=deterministic)
        return self._dense("down", x.shape[-1], ("mlp", "embed"), self.down_init)(inner)

    def _dense(self, name: str, features: int, axes: tuple[str, str], init: Callable[..., Any] | None) -> nn.Dense:
        init = init or nn.initializers.glorot_uniform()
        return nn.Dense(
            features,
            use_bias=self.use_bias,
            dtype=self.dtype,
            kernel_init=with_axis_names(init, axes),
            bias_init=with_axis_names(nn.initializers.zeros, axes[1:]),
            dot_general=lambda x, kernel, *_, **__: project(x, kernel),
            name=name,
        )
