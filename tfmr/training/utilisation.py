"""Model FLOP utilisation (MFU): the share of the chips' peak that goes into the operations the model needs."""

import functools
from collections.abc import Callable

from jax.sharding import Mesh

from tfmr.config import ModelConfig
from tfmr.data.batching import Bucket
from tfmr.errors import InputError
from tfmr.models.account import training_flops_per_token
from tfmr.models.chips import chip_of_kind


def seconds_at_peak(model: ModelConfig, mesh: Mesh) -> Callable[[Bucket], float]:
    """Returns a function of a batch's shape: the seconds per target token at the peak of all chips of the mesh.

    The operations of a token are those of `training_flops_per_token` for a full row of this shape, so padding is not
    counted, and neither is recomputation. The function returns 0 if the peak of the chips is not known, or the kind of
    model has no account.
    """
    chip = chip_of_kind(mesh.devices.flat[0].device_kind)

    @functools.cache
    def seconds(bucket: Bucket) -> float:
        if chip is None or not bucket.target_length:
            return 0.0
        try:
            flops = training_flops_per_token(model, bucket.source_length, bucket.target_length)
        except InputError:
            return 0.0
        return flops / (chip.flops * mesh.size)

    return seconds
