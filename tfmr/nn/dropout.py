"""Dropout (Srivastava et al. 2014), as the paper uses it (section 5.4), with random bits that cost next to nothing.

JAX's own bits come from Threefry, some hundred operations for each element, which XLA computes apart and keeps in
memory: on a CPU a fifth of the time of a training step. Here a bit is a hash of the key and of the element's place: a
dozen operations, which disappear in the loop that drops, forward and backward. Like JAX's, the bits depend on nothing
else, so not on how the array is split over devices.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Key, UInt32


class Dropout(nn.Module):
    """Sets elements to 0 at random and divides the others by the share that stays.

    Attributes:
      rate: probability of an element to be dropped, from 0 to 1.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "*shape"], *, deterministic: bool) -> Float[Array, "*shape"]:
        """Returns x as it is where `deterministic`; drops with the random stream `dropout` elsewhere."""
        if deterministic or self.rate == 0.0:
            return x
        if self.rate == 1.0:
            return jnp.zeros_like(x)
        kept = random_bits(self.make_rng("dropout"), x.shape) >= jnp.uint32(self.rate * 2**32)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0)


def random_bits(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    """Returns 32 random bits for each place of an array of up to 2^32 elements; good for dropout, not for secrets."""
    words = jax.random.key_data(key)
    place, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        place += lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    # Mixed twice, so that two keys do not give the same bits in another order.
    return _mixed(_mixed(place + words[0]) ^ words[-1])


def _mixed(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """A permutation of the 32-bit numbers in which each bit changes half of all; constants by Wellons (2018)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
