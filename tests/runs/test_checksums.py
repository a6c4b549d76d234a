"""Checksums against the same sum in plain integers, and what they must notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tfmr.runs.checksums import checksums, named_leaves


def by_hand(x: np.ndarray) -> int:
    """The sum with Python's integers, that never overflow."""
    total = 0
    for place, bits in enumerate(x.reshape(-1).view(f"uint{8 * x.dtype.itemsize}").tolist(), start=1):
        mixed = bits ^ (place * 0x9E3779B1 % 2**32)
        mixed = (mixed ^ (mixed >> 16)) * 0x85EBCA6B % 2**32
        mixed = (mixed ^ (mixed >> 13)) * 0xC2B2AE35 % 2**32
        total += mixed ^ (mixed >> 16)
    return total % 2**32


def checksum(x) -> int:
    ((shape, value),) = checksums({"x": x}).values()
    assert shape == list(x.shape)
    return value


@pytest.mark.parametrize("small", [0, 100])
@pytest.mark.parametrize("dtype", ["float32", "int32", "bfloat16", "uint8"])
@pytest.mark.parametrize("shape", [(), (7,), (4, 6), (2, 3, 8)])
def test_the_sum_is_that_of_whole_numbers(dtype, shape, small, monkeypatch):
    monkeypatch.setattr("tfmr.runs.checksums._SMALL", small)
    x = np.asarray(np.random.default_rng(0).integers(0, 200, shape), jnp.dtype(dtype))
    assert checksum(x) == checksum(jnp.asarray(x)) == by_hand(np.atleast_1d(x))


@pytest.mark.parametrize("spec", [(), ("a",), ("b", "a"), (None, "a"), (("a", "b"),)])
def test_it_does_not_depend_on_the_devices(spec):
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    x = np.random.default_rng(1).standard_normal((16, 8)).astype(np.float32)
    assert checksum(jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))) == by_hand(x)


def test_each_bit_and_each_place_counts():
    x = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    expected = checksum(x)
    for place in range(x.size):
        for bit in range(0, 32, 5):
            other = x.copy()
            other.view(np.uint32).reshape(-1)[place] ^= np.uint32(1 << bit)
            assert checksum(other) != expected
    assert checksum(x[::-1].copy()) != expected
    assert checksum(np.array([0.0, -0.0], np.float32)) != checksum(np.array([-0.0, 0.0], np.float32))


def test_arrays_are_named_by_their_paths():
    tree = {"b": [np.zeros(2), {"c": np.zeros(3)}], "a": np.zeros(1)}
    assert {name: x.size for name, x in named_leaves(tree).items()} == {"a": 1, "b/0": 2, "b/1/c": 3}
