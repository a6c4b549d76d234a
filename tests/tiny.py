"""A model and batches small enough to compile in a second."""

import dataclasses

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from tfmr.config import TrainingConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID
from tfmr.models import Transformer
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.sharding import MESH_AXES
from tfmr.training.state import make_sharded_state

VOCAB = 24


def tiny_model(**changes) -> Transformer:
    """A model whose every named axis divides by 8."""
    shape = dict(num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=32, num_heads=8, d_k=2, d_v=2)
    return Transformer(TransformerConfig(**{**shape, "vocab_size": VOCAB, "dropout_rate": 0.0, **changes}))


def training_config(**changes) -> TrainingConfig:
    """Ten times the usual steps' size, so that wrong updates show."""
    usual = {"schedule": "constant", "learning_rate": 0.01, "warmup_steps": 2, "loss_chunk": 64}
    return TrainingConfig(**usual | changes)


def random_batch(rows: int = 16, source: int = 8, target: int = 12, seed: int = 0) -> dict[str, np.ndarray]:
    """Sentences of very different lengths, the last row without any."""
    random = np.random.default_rng(seed)

    def side(length):
        tokens, segments = np.zeros((2, rows, length), np.int32)
        for row in range(rows - 1):
            size = random.integers(1, length + 1)
            tokens[row, :size] = [*random.integers(4, VOCAB, size - 1), EOS_ID]
            segments[row, :size] = 1
        return tokens, segments, np.tile(np.arange(length, dtype=np.int32), (rows, 1))

    source_tokens, source_segments, source_positions = side(source)
    target_tokens, target_segments, target_positions = side(target)
    begin = np.full((rows, 1), BOS_ID, np.int32)
    return dict(
        source=source_tokens,
        source_segments=source_segments,
        source_positions=source_positions,
        target_input=np.concatenate([begin, target_tokens[:, :-1]], axis=1) * target_segments,
        target_output=target_tokens,
        target_segments=target_segments,
        target_positions=target_positions,
    )


def mesh_of(*shape: int) -> Mesh:
    """A mesh over the first devices of the machine; `shape` is (data, fsdp, tensor)."""
    devices = jax.devices()[: int(np.prod(shape))]
    return jax.make_mesh(shape, MESH_AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


@dataclasses.dataclass(frozen=True)
class AbsentDevice:
    """What a mesh must know of a device that this machine does not have."""

    id: int
    device_kind: str
    platform: str
    process_index: int = 0


def mesh_of_absent(device_kind: str, platform: str, *shape: int) -> Mesh:
    """A mesh of devices that this machine does not have; `shape` is (data, fsdp, tensor)."""
    devices = [AbsentDevice(number, device_kind, platform) for number in range(int(np.prod(shape)))]
    return Mesh(np.array(devices).reshape(shape), MESH_AXES)


def start_state(model: Transformer, config: TrainingConfig, mesh: Mesh | None = None):
    """The state before the first step, and its shardings."""
    optimizer = make_optimizer(config, make_schedule(config, model.config.d_model))
    key = jax.random.key(config.seed)
    return make_sharded_state(model, optimizer, key, mesh or mesh_of(1, 1, 1), ema=config.ema_decay > 0)
