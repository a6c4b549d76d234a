"""Products of activations with a matrix of parameters."""

import jax
from jax import Array
from jaxtyping import Float

from tfmr.nn.platform import platform


def project(x: Float[Array, "*batch d_in"], kernel: Float[Array, "d_in d_out"]) -> Float[Array, "*batch d_out"]:
    """Returns x @ kernel.

    On CPUs the product is computed on a single batch axis. The gradient of the kernel contracts all batch axes. With
    two or more of them, XLA:CPU first writes a transposed copy of the output's gradient and of whatever it fuses with
    it; with one axis, its matrix product reads the operand transposed.

    Merging the axes requires that only the first one is sharded. Otherwise, and on accelerators, which do not need it,
    this is the plain product.
    """
    if platform() != "cpu" or any(jax.typeof(x).sharding.spec[1:-1]):
        return x @ kernel
    rows = x.reshape(-1, x.shape[-1]) @ kernel
    return rows.reshape(*x.shape[:-1], kernel.shape[-1])
