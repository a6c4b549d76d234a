"""A run small enough to train in seconds: its corpus, its configuration, and what tells two such runs apart."""

import contextlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfmr.config import Config, PairsConfig, TrainingConfig, TransformerConfig, config_to_dict
from tfmr.data.pairs import PairSplit
from tfmr.runs.metrics import read_metric_lines
from tfmr.runs.run_directory import RunDirectory
from tfmr.training import fit, task_for


def write_words(folder: Path, train: int = 200, validation: int = 12, test: int = 3, seed: int = 0) -> None:
    """Writes a corpus of words and the same words spelled backwards, so many pairs a split."""
    draw = random.Random(seed)
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        lines = ["".join(draw.choices("abcdefgh ", k=draw.randint(3, 20))).strip() or "a" for _ in range(count)]
        (folder / f"{split}.en").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / f"{split}.de").write_text("".join(f"{line[::-1]}\n" for line in lines), encoding="utf-8")


def tiny_run(
    folder: Path, workdir: Path, *, num_buckets: int = 1, attention_dropout: float = 0.0, **training
) -> Config:
    """The configuration of a run on the words in a folder, with all that has a state: dropout, Adam, a moving average.

    Args:
      folder: where the words are, and the token arrays will be.
      workdir: the run directory.
      num_buckets: shapes of batches.
      attention_dropout: beside the dropout of the sub-layers.
      **training: what is other than here.
    """
    usual = dict(schedule="constant", learning_rate=0.003, warmup_steps=5, loss_chunk=64, ema_decay=0.9)
    often = dict(log_every=1, bleu_sentences=0, checkpoint_every=4)
    shape = dict(num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8)
    return Config(
        workdir=str(workdir),
        model=TransformerConfig(vocab_size=16, attention_dropout_rate=attention_dropout, **shape),
        data=PairsConfig(
            corpus="text",
            dir=str(folder),
            cache=str(folder / "cache"),
            tokenizer="characters",
            tokens_per_batch=256,
            num_buckets=num_buckets,
        ),
        training=TrainingConfig(**{**usual, **often, **training}),
    )


def train(config: Config) -> RunDirectory:
    """Trains a configuration with the task of its data."""
    return fit(task_for(config), config)


@contextlib.contextmanager
def before_batch(number: int, act: Callable[[], None], split: type = PairSplit) -> Iterator[None]:
    """Calls `act` when training makes its batch of this number, from 1."""
    made, arrays = itertools.count(1), split.arrays

    def acting(*args, **kwargs):
        # Training asks for its own rows; validation takes all.
        if "rows_of" in kwargs and next(made) == number:
            act()
        return arrays(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "arrays", acting)
        yield


def write_recipe(file: Path, config: Config) -> None:
    """Writes a config file that gives this configuration."""
    file.write_text(
        "import json\nfrom tfmr.config import config_from_dict\n\n\n"
        f"def get_config():\n    return config_from_dict(json.loads({json.dumps(config_to_dict(config))!r}))\n"
    )


def numbers(run: RunDirectory) -> list[dict]:
    """The lines of metrics.jsonl without what depends on the clock."""
    lines, by_clock = read_metric_lines(run.metrics_file), ("tokens_per_second", "mfu")
    return [{name: value for name, value in line.items() if name not in by_clock} for line in lines]
