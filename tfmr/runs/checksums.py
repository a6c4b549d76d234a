"""Checksums of arrays, computed on their devices, by which damaged checkpoints are detected.

They depend on the values and their indices, not on how an array is split over devices or hosts.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jaxtyping import Shaped, UInt32

_SMALL = 1 << 22  # elements that NumPy sums in less time than it takes to load a program


def checksums(tree: Any) -> dict[str, tuple[list[int], int]]:
    """Returns the shape and checksum of each array of a tree, by path. On several hosts, all of them must call it."""
    leaves = {name: jnp.asarray(x) for name, x in named_leaves(tree).items()}
    parts = jax.device_get([_own_parts(x) for x in leaves.values()])
    sums = np.array([sum(map(int, part)) % 2**32 for part in parts], np.uint32)
    shared = np.array([not x.is_fully_addressable for x in leaves.values()])
    if shared.any():
        of_all = multihost_utils.process_allgather(np.where(shared, sums, 0)).sum(axis=0, dtype=np.uint32)
        sums = np.where(shared, of_all, sums)
    return {name: (list(x.shape), int(value)) for (name, x), value in zip(leaves.items(), sums, strict=True)}


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree by their paths, such as `encoder/layer_0/norm/scale`."""
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def _own_parts(x: Array) -> list[Any]:
    """Returns the checksums of this host's parts of an array. Replicated parts are counted on one device only."""
    if x.size <= _SMALL and len(x.sharding.device_set) == 1 and {device.platform for device in x.devices()} == {"cpu"}:
        return [_small_checksum(np.asarray(x))]
    strides = np.array([math.prod(x.shape[axis + 1 :]) % 2**32 for axis in range(x.ndim)], np.uint32)
    return [
        # One program per device, without collectives, compiled once for all parts of a shape.
        _part_checksum(shard.data, np.array([part.start or 0 for part in shard.index], np.uint32), strides)
        for shard in x.addressable_shards
        if shard.replica_id == 0
    ]


def _small_checksum(x: np.ndarray) -> int:
    """Returns what `_part_checksum` does for a whole array, without a program for its shape."""
    bits = np.ascontiguousarray(x).reshape(-1).view(f"uint{8 * x.dtype.itemsize}").astype(np.uint32)
    mixed = bits ^ (np.arange(1, x.size + 1, dtype=np.uint32) * np.uint32(0x9E3779B1))
    mixed = (mixed ^ (mixed >> 16)) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * np.uint32(0xC2B2AE35)
    return int(np.sum(mixed ^ (mixed >> 16), dtype=np.uint32))


@jax.jit
def _part_checksum(
    part: Shaped[Array, "..."], start: UInt32[np.ndarray | Array, " axes"], strides: UInt32[np.ndarray | Array, " axes"]
) -> UInt32[Array, ""]:
    """Returns the sum, modulo 2^32, of a hash of each element's bits and index.

    Every step of the hash is invertible, so a change of one element always changes the sum. Changes of several elements
    go undetected with probability 2^-32. Integers do not round, so the order of the sum does not matter.

    Args:
      part: a part of an array.
      start: index of the part's first element in the array.
      strides: number of elements of the array between neighbours along each axis.
    """
    if part.dtype == jnp.bool_:
        part = part.astype(jnp.uint32)
    bits = jax.lax.bitcast_convert_type(part, jnp.dtype(f"uint{8 * part.dtype.itemsize}")).astype(jnp.uint32)
    index = jnp.ones(part.shape, jnp.uint32)
    for axis in range(part.ndim):
        index += (jax.lax.broadcasted_iota(jnp.uint32, part.shape, axis) + start[axis]) * strides[axis]
    mixed = bits ^ (index * jnp.uint32(0x9E3779B1))
    mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
    return jnp.sum(mixed ^ (mixed >> 16), dtype=jnp.uint32)
