"""Model FLOP utilisation against the formula of published reports."""

import dataclasses

import pytest
from tiny import mesh_of_absent

from tfmr.config import ModelConfig
from tfmr.data.batching import Bucket
from tfmr.models import Transformer, gpt2_small, register_model
from tfmr.models.chips import CHIPS, DEVICE_KINDS, chip_of_kind
from tfmr.training.utilisation import seconds_at_peak


def test_a_token_takes_six_operations_a_weight_and_its_attention():
    layers, width, vocabulary, length = 12, 768, 50_257, 1024
    weights = layers * 12 * width**2 + vocabulary * width
    # 12 a layer, channel and position looked at, of which five eighths are computed.
    flops = 6 * weights + 12 * layers * width * length * 5 / 8
    of_eight = seconds_at_peak(gpt2_small(), mesh_of_absent("TPU v5 lite", "tpu", 4, 2, 1))
    assert of_eight(Bucket(16, 0, length)) == pytest.approx(flops / (8 * 197e12))
    of_one = seconds_at_peak(gpt2_small(), mesh_of_absent("NVIDIA H100 80GB HBM3", "gpu", 1, 1, 1))
    assert of_one(Bucket(16, 0, length)) == pytest.approx(flops / 989e12)


@dataclasses.dataclass(frozen=True)
class NoAccount(ModelConfig):
    """A kind of model that says nothing about its cost."""

    longest_sequence = None  # pyright: ignore[reportAssignmentType]


def test_what_is_not_known_is_not_guessed():
    register_model(NoAccount, Transformer)
    row = Bucket(16, 64, 64)
    assert seconds_at_peak(NoAccount(), mesh_of_absent("TPU v5 lite", "tpu", 4, 2, 1))(row) == 0
    for kind in ("cpu", "NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"):
        assert seconds_at_peak(gpt2_small(), mesh_of_absent(kind, "gpu", 8, 1, 1))(row) == 0


def test_every_known_kind_of_device_is_a_chip_of_the_table():
    assert set(DEVICE_KINDS.values()) == set(CHIPS)
    assert chip_of_kind("TPU v6 lite") == CHIPS["v6e"]
    assert chip_of_kind("cpu") is None
