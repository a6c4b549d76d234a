"""What is dropped, against the binomial distribution, and that it depends on the key and the place alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tfmr.nn import Dropout
from tfmr.nn.dropout import random_bits

SIZE = 1 << 16


def dropped(rate, seed, shape=(SIZE,)):
    ones = jnp.ones(shape)
    return np.asarray(Dropout(rate).apply({}, ones, deterministic=False, rngs={"dropout": jax.random.key(seed)})) == 0


def bits(seed, *shape):
    return np.asarray(random_bits(jax.random.key(seed), shape or (SIZE,)))


def by_chance(count, size, probability):
    """Whether a count of independent events lies within five standard deviations, as 1 999 999 of 2 000 000 do."""
    return abs(count - size * probability) < 5 * np.sqrt(size * probability * (1 - probability))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate(rate):
    for seed in range(4):
        assert by_chance(dropped(rate, seed).sum(), SIZE, rate)


def test_what_stays_is_divided_by_its_share_and_the_gradient_is_the_same():
    x = jnp.linspace(1.0, 2.0, 40).reshape(5, 8)
    drop = lambda x: Dropout(0.4).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(0)})  # noqa: E731
    output, pull = jax.vjp(drop, x)
    kept = np.asarray(output) != 0
    np.testing.assert_allclose(output, np.where(kept, x / 0.6, 0), rtol=1e-6)
    np.testing.assert_allclose(pull(jnp.ones_like(x))[0], kept / 0.6, rtol=1e-6)


@pytest.mark.parametrize(("rate", "deterministic", "factor"), [(0.4, True, 1), (0.0, False, 1), (1.0, False, 0)])
def test_nothing_or_all_is_dropped_without_chance(rate, deterministic, factor):
    x = jnp.arange(6.0)
    np.testing.assert_array_equal(Dropout(rate).apply({}, x, deterministic=deterministic), factor * x)


def test_neighbours_rows_and_keys_have_nothing_to_do_with_each_other():
    first, second = dropped(0.3, 0, (256, 256)), dropped(0.3, 1, (256, 256))
    alike = 0.3**2 + 0.7**2
    pairs = [(first, second), (first, second.T)]
    pairs += [(first[:, step:], first[:, :-step]) for step in (1, 2, 64)]
    pairs += [(first[step:], first[:-step]) for step in (1, 2, 64)]
    for one, other in pairs:
        assert by_chance((one == other).sum(), one.size, alike)


def test_each_bit_is_set_half_of_the_time_and_bytes_are_spread_evenly():
    found = bits(7)
    for bit in range(32):
        assert by_chance(((found >> bit) & 1).sum(), SIZE, 0.5)
    for byte in range(4):
        counts = np.bincount((found >> 8 * byte) & 255, minlength=256)
        # Chi-squared with 255 degrees of freedom: mean 255, standard deviation 22.6.
        assert ((counts - SIZE / 256) ** 2 / (SIZE / 256)).sum() < 255 + 5 * 22.6


def test_two_keys_do_not_give_the_same_bits_in_another_order():
    for one, other in itertools.combinations(range(4), 2):
        # Of 2^16 numbers among 2^32, about one is in both by chance.
        assert np.intersect1d(bits(one), bits(other)).size < 10


def test_the_same_however_the_array_is_split():
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    split = NamedSharding(mesh, PartitionSpec("a", "b"))
    sharded = jax.jit(lambda key: random_bits(key, (64, 32)), out_shardings=split)(jax.random.key(3))
    assert sharded.sharding.shard_shape(sharded.shape) == (32, 8)
    np.testing.assert_array_equal(sharded, bits(3, 64, 32))


def test_keys_can_be_mapped():
    keys = jax.random.split(jax.random.key(0), 3)
    mapped = jax.vmap(lambda key: random_bits(key, (10,)))(keys)
    for i in range(3):
        np.testing.assert_array_equal(mapped[i], random_bits(keys[i], (10,)))
