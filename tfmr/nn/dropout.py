"""Dropout (Srivastava et al. 2014), as the paper uses it (section 5.4), with cheap random bits.

JAX's own random bits come from Threefry, which takes about a hundred operations for each element. XLA computes them
separately and stores them, which costs a fifth of a training step on a CPU. Here a bit is a hash of the key and of the
element's index: a dozen operations, which XLA fuses into the loop that drops elements, forward and backward. Like JAX's
bits, they depend on nothing else, so they do not change with the way the array is split over devices.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Key, UInt32


class Dropout(nn.Module):
    """Sets random elements to 0 and divides the others by the probability that an element is kept.

    Attributes:
      rate: probability that an element is dropped, from 0 to 1.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "*shape"], *, deterministic: bool) -> Float[Array, "*shape"]:
        """Returns x unchanged if `deterministic`; otherwise drops elements with the random stream `dropout`."""
        if deterministic or self.rate == 0.0:
            return x
        if self.rate == 1.0:
            return jnp.zeros_like(x)
        kept = random_bits(self.make_rng("dropout"), x.shape) >= jnp.uint32(self.rate * 2**32)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0)


def random_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    """Returns 32 random bits for each element of an array of this shape, which has at most 2^32 elements.

    The bits are good enough for dropout, but not for cryptography.
    """
    words = jax.random.key_data(key)
    index, stride = jnp.zeros(shape, jnp.uint32), jnp.uint32(1)
    for axis in reversed(range(len(shape))):
        index += lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
        stride *= jnp.asarray(shape[axis]).astype(jnp.uint32)
    # Mixed twice: mixed once, two keys would give the same bits in another order.
    return _mixed(_mixed(index + words[0]) ^ words[-1])


def _mixed(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """Permutes the 32-bit integers: each input bit flips half of the output bits. Constants by Wellons (2018)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
