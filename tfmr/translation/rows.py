"""Where the rows of a batch live: on one device, or spread over several, of several processes too."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding


@dataclasses.dataclass(frozen=True)
class Rows:
    """How a batch goes to the devices and comes back.

    Attributes:
      sharding: of the first axis; None: on the parameters' device. Where it spans several processes, all of them must
        put and fetch the same arrays at the same time.
    """

    sharding: NamedSharding | None = None

    @property
    def parts(self) -> int:
        """Into how many parts a batch's rows are split; their number must be a multiple of it."""
        if self.sharding is None:
            return 1
        rows = self.sharding.num_devices  # divides over any part of the devices
        return rows // self.sharding.shard_shape((rows,))[0]

    def put(self, array: np.ndarray) -> Array:
        """Returns the array where it is to live."""
        if self.sharding is None:
            return jnp.asarray(array)
        return jax.make_array_from_callback(array.shape, self.sharding, lambda index: array[index])

    @staticmethod
    def fetch(array: Array) -> np.ndarray:
        """Returns all of an array that may be spread over several processes."""
        if array.is_fully_addressable or array.is_fully_replicated:
            return np.asarray(array)
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
