"""Relative position bias (Raffel et al., 2020, section 2.1): a number for each distance, added to attention scores."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Integer

from tfmr.nn.embedding import take_rows
from tfmr.nn.parameters import parameter


class Places(NamedTuple):
    """The positions of queries and keys, for layers that each have a `RelativePositionBias` of their own."""

    queries: Int[Array, "*batch query"]
    keys: Int[Array, "*batch key"]


class RelativePositionBias(nn.Module):
    """A learned bias for each head and each bucket of distances between a query and a key.

    All layers of a stack share one bias, which is an argument of theirs: `bias` of encoder layers, `self_bias` of
    decoder layers. Or each layer has its own (`LayerConfig.own_positions`). It depends on differences of positions
    only, so it is the same wherever a segment starts.

    Attributes:
      num_heads: number of attention heads.
      num_buckets: number of buckets, see `distance_buckets`.
      max_distance: the distance from which on all keys share a bucket.
      bidirectional: a key after its query has other buckets than one before it. If not, keys after their query, which
        causal attention excludes, share the bucket of distance 0.
      initializer: initialiser of the table; None: normal, with a standard deviation of 0.02.
    """

    num_heads: int
    num_buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = True
    initializer: Callable[..., Any] | None = None

    @nn.compact
    def __call__(
        self, query_positions: Int[Array, "*batch query"], key_positions: Int[Array, "*batch key"]
    ) -> Float[Array, "*batch heads query key"]:
        """Returns the bias of each query's scores, in float32."""
        init = self.initializer or nn.initializers.normal(0.02)
        table = parameter(self, "embedding", init, ("positions", "heads"), (self.num_buckets, self.num_heads))
        farthest = self.max_distance
        buckets = distance_buckets(
            np.arange(-farthest, farthest + 1),
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )
        of_distances = take_rows(table, jnp.asarray(buckets))
        distances = key_positions[..., None, :] - query_positions[..., :, None]
        indices = jnp.clip(distances, -farthest, farthest) + farthest
        return jnp.moveaxis(take_rows(of_distances, indices), -1, -3)


def distance_buckets(
    distances: Integer[np.ndarray, "*shape"], *, num_buckets: int, max_distance: int, bidirectional: bool
) -> Integer[np.ndarray, "*shape"]:
    """Returns the bucket of each distance, the key's position minus the query's.

    Half of the buckets are for one distance each: 0, 1, 2, ... The others grow with the logarithm of the distance, up
    to `max_distance`. If bidirectional, the first half of all buckets is for keys up to the query's position and the
    second half for those after it.
    """
    if bidirectional:
        one_sided, first = num_buckets // 2, np.where(distances > 0, num_buckets // 2, 0)
        lengths = np.abs(distances)
    else:
        one_sided, first = num_buckets, 0
        lengths = np.maximum(-distances, 0)
    exact = one_sided // 2
    # Only lengths from `exact` on take the logarithm's bucket.
    octaves = np.log(np.maximum(lengths, exact) / exact) / math.log(max_distance / exact)
    logarithmic = np.minimum(exact + (octaves * (one_sided - exact)).astype(np.int32), one_sided - 1)
    return (first + np.where(lengths < exact, lengths, logarithmic)).astype(np.int32)
