"""Measures tfmr on the fixed batches of the peer programs: training steps and translations, in tokens per second.

It has the interface of those programs: `build(peer, work)` returns a session whose `run(i)` trains on batch i, or
decodes it, and returns the number of tokens that count. The module `common` is in their folder, which must be on
PYTHONPATH.
"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfmr.cli.memory import use_huge_pages

use_huge_pages()

import common  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
from accelerator import our_decoder  # noqa: E402

from tfmr import CausalLMConfig, MeshConfig, TrainingConfig, TransformerConfig  # noqa: E402
from tfmr.models import CausalLM, Model, Transformer, init_params  # noqa: E402
from tfmr.training.optimizer import make_optimizer, make_schedule  # noqa: E402
from tfmr.training.sharding import make_mesh  # noqa: E402
from tfmr.training.state import make_sharded_state  # noqa: E402
from tfmr.training.step import compile_for_mesh, make_train_step  # noqa: E402


def build(peer: str, work: str) -> SimpleNamespace:
    """Returns the session for a workload."""
    if work.startswith("decode"):
        return _decoding(work)
    return _language_model(work) if work.startswith("gpt") else _translation(work)


def _config(name: str) -> TransformerConfig:
    sizes = common.MODELS[name]
    return TransformerConfig(
        vocab_size=sizes["vocab"],
        num_encoder_layers=sizes["layers"],
        num_decoder_layers=sizes["layers"],
        d_model=sizes["d"],
        d_ff=sizes["ff"],
        num_heads=sizes["heads"],
        d_k=sizes["d"] // sizes["heads"],
        d_v=sizes["d"] // sizes["heads"],
        dropout_rate=sizes["dropout"],
    )


def _decoding(work: str) -> SimpleNamespace:
    """Returns a session of the translator's search with random weights.

    Every output has exactly the same number of tokens, EOS included. The decoder takes as many steps, like systems that
    do not count EOS and stop before it.
    """
    length = common.DECODE["out_len"]
    model = Transformer(_config("B"))
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))()
    beam_size = 4 if work == "decode_beam4" else 1
    batches = common.decode_batches()
    session = SimpleNamespace(n_units=len(batches), warm=common.shape_units(batches, key=lambda batch: batch.shape))
    session.info = dict(jax=jax.__version__, threads=os.cpu_count())

    def run(i: int) -> int:
        return our_decoder(model.config, params, batches[i], length)(beam_size).shape[0] * length

    session.run = run
    return session


def _translation(work: str) -> SimpleNamespace:
    raw = common.train_batches(work)
    training = TrainingConfig(schedule="constant", learning_rate=common.LR, warmup_steps=0, label_smoothing=0.1)
    model = Transformer(_config(work.removeprefix("train_")))
    batches = [(_arrays(*batch[:3]), batch[3]) for batch in raw]
    return _training(model, training, batches, warm=[*common.shape_units(raw), 0])


def _language_model(work: str) -> SimpleNamespace:
    sizes = common.MODELS[work]
    training = TrainingConfig(
        schedule="constant",
        learning_rate=1e-3,
        warmup_steps=0,
        adam_b2=0.99,
        adam_epsilon=1e-8,
        weight_decay=0.1,
        gradient_clip=1.0,
        label_smoothing=0.0,
    )
    config = CausalLMConfig(
        vocab_size=sizes["vocab"],
        num_layers=sizes["layers"],
        d_model=sizes["d"],
        d_ff=4 * sizes["d"],
        num_heads=sizes["heads"],
        d_k=sizes["d"] // sizes["heads"],
        d_v=sizes["d"] // sizes["heads"],
        max_length=sizes["block"],
        dropout_rate=sizes["dropout"],
        attention_dropout_rate=sizes["dropout"],
        bias=False,
    )
    batches = [(_rows_of_text(*batch), batch[0].size) for batch in common.gpt_batches(work)]
    return _training(CausalLM(config), training, batches, warm=[0, 1, 2])


def _training(
    model: Model, training: TrainingConfig, batches: list[tuple[dict[str, np.ndarray], int]], warm: list[int]
) -> SimpleNamespace:
    """Returns a session of the trainer's own step, on batches with their numbers of tokens."""
    schedule = make_schedule(training, model.config.d_model)
    optimizer = make_optimizer(training, schedule)
    mesh = make_mesh(MeshConfig())
    state, sharding = make_sharded_state(model, optimizer, jax.random.key(0), mesh, ema=False)
    train_step = make_train_step(model, optimizer, schedule, training)
    step = compile_for_mesh(train_step, mesh, sharding)
    arrays = [jax.device_put(batch) for batch, _ in batches]
    session = SimpleNamespace(n_units=len(batches), warm=warm, state=state)
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    session.info = dict(jax=jax.__version__, params=parameters, threads=os.cpu_count())

    def run(i: int) -> int:
        session.state, metrics = step(session.state, arrays[i])
        session.info["last_loss"] = round(float(jax.block_until_ready(metrics["loss"])), 3)
        return batches[i][1]

    session.run = run
    return session


def _arrays(source: np.ndarray, target_input: np.ndarray, target_output: np.ndarray) -> dict[str, np.ndarray]:
    source_segments = (source != common.PAD).astype(np.int32)
    target_segments = (target_output != common.PAD).astype(np.int32)
    positions = np.broadcast_to(np.arange(source.shape[1], dtype=np.int32), source.shape)
    return dict(
        source=source,
        source_segments=source_segments,
        source_positions=positions,
        target_input=target_input,
        target_output=target_output,
        target_segments=target_segments,
        target_positions=positions,
    )


def _rows_of_text(tokens: np.ndarray, following: np.ndarray) -> dict[str, np.ndarray]:
    positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape)
    return dict(
        target_input=tokens,
        target_output=following,
        target_segments=np.ones_like(tokens),
        target_positions=positions,
    )


if __name__ == "__main__":
    common.main(build, dict(tfmr=common.WORKS))
