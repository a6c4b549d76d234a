"""Placement of the rows of a batch: on one device, or sharded over devices of one or several processes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding


@dataclasses.dataclass(frozen=True)
class Rows:
    """Moves batches to the devices and results back.

    Attributes:
      sharding: the sharding of the first axis. None: on the parameters' device. If it spans several processes, all of
        them must put and fetch the same arrays at the same time.
    """

    sharding: NamedSharding | None = None

    @property
    def parts(self) -> int:
        """The number of shards. The number of rows must be a multiple of it."""
        if self.sharding is None:
            return 1
        rows = self.sharding.num_devices  # divisible by any number of shards
        return rows // self.sharding.shard_shape((rows,))[0]

    def put(self, array: np.ndarray) -> Array:
        """Returns the array on its devices."""
        if self.sharding is None:
            return jnp.asarray(array)
        return jax.make_array_from_callback(array.shape, self.sharding, lambda index: array[index])

    @staticmethod
    def fetch(array: Array) -> np.ndarray:
        """Returns the whole array, even if it is sharded over several processes."""
        if array.is_fully_addressable or array.is_fully_replicated:
            return np.asarray(array)
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
