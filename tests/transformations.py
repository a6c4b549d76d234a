"""Checks that a function gives the same result plain and under JAX's transformations."""

import jax
import numpy as np
from reference import relative_error

# Not bit-equal: a compiled program fuses sums and products, and sums a batch of another size in another order. Each
# reordering costs about half a unit in the last place (6e-8), and these errors add up through the sums of a block.
FEW_ULP = 1e-6
DEVICES = 4


def check_transformations(function, params, *inputs):
    """Checks that function(params, *inputs) is the same plain, under jit, vmap and pmap.

    Args:
      function: a function of parameters and batches, or of single examples without the batch axis.
      params: its parameters.
      inputs: arrays with a batch of 2 * DEVICES as their first axis.
    """
    plain = function(params, *inputs)
    compiled = jax.jit(function)
    axes = (None, *(0 for _ in inputs))
    mapped = jax.vmap(function, axes)(params, *inputs)
    shards = [x.reshape(DEVICES, 2, *x.shape[1:]) for x in inputs]
    parallel = jax.pmap(function, in_axes=axes, devices=jax.devices()[:DEVICES])(params, *shards)
    assert len(parallel.sharding.device_set) == DEVICES
    assert relative_error(compiled(params, *inputs), plain) < FEW_ULP
    assert relative_error(mapped, plain) < FEW_ULP
    assert relative_error(np.asarray(parallel).reshape(plain.shape), plain) < FEW_ULP
    for device in range(DEVICES):
        # Each device runs the same program as jit on the same shape, so these are bit-equal.
        alone = compiled(params, *(shard[device] for shard in shards))
        np.testing.assert_array_equal(parallel[device], alone)
