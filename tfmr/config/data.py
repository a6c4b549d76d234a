"""The base of every kind of data configuration, and the cache folder."""

import abc
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from tfmr.config.checks import Checks
from tfmr.config.model import ModelConfig
from tfmr.config.paths import expanded


class DataConfig(abc.ABC):
    """Which corpus to train on and how to batch it. Each kind of data has a subclass, a frozen dataclass."""

    task: ClassVar[str]
    """The `tfmr.training.Task` that trains on this kind of data, as "module:class"."""
    prepare: ClassVar[str]
    """The function that returns the `tfmr.data.corpus.Corpus` of a configuration, preparing it first if needed, as
    "module:function". Every host calls it, so its result must depend on the configuration only."""
    models: ClassVar[tuple[type[ModelConfig], ...]]
    """The kinds of model that can be trained on it."""
    metrics: ClassVar[Mapping[str, Literal["min", "max"]]] = {"loss": "min"}
    """The validation metrics that can choose the best checkpoint, and whether lower or higher is better."""
    may_change: ClassVar[frozenset[str]] = frozenset({"cache"})
    """Fields that may differ when a run resumes."""
    local_paths: ClassVar[frozenset[str]] = frozenset({"cache"})
    """Paths, which may differ between hosts, and when a run resumes on a corpus with the same content."""

    cache: str
    """Folder for prepared corpora. Empty: $TFMR_CACHE, or else ~/.cache/tfmr."""
    max_length: int
    """Maximum number of tokens per sequence."""
    tokens_per_batch: int
    """Maximum number of tokens per batch, including padding."""
    seed: int
    """Random seed for the order of the batches."""

    @property
    def largest_vocabulary(self) -> int:
        """The vocabulary size that a trained tokenizer is limited to; 0 if there is no tokenizer."""
        return getattr(self, "vocab_size", 0)

    @property
    def typical_lengths(self) -> tuple[int, int]:
        """Tokens of a typical source and target, for estimates of the cost of training; 0 if there is no source."""
        return 0, self.max_length

    @property
    def cache_folder(self) -> Path:
        """The folder for prepared corpora and downloads: `cache`, $TFMR_CACHE, or ~/.cache/tfmr."""
        return expanded(self.cache) if self.cache else default_cache()


def default_cache() -> Path:
    """Returns the folder for files that can be reused: $TFMR_CACHE, or else ~/.cache/tfmr."""
    return expanded(os.environ.get("TFMR_CACHE") or "~/.cache/tfmr")


def check_tokenized_data(config, check: Checks, unit: str) -> None:
    """Checks the fields that every tokenised corpus has; `unit` is what max_length limits."""
    enough_for_bytes = config.vocab_size >= 260 or config.tokenizer != "bpe"
    check.require("vocab_size", enough_for_bytes, "must be at least 260 for a byte-level BPE")
    check.require("vocab_size", config.vocab_size > 4, "must be greater than 4, the number of special tokens")
    check.at_least_zero("seed")
    fix = f"must be at least data.max_length = {config.max_length}, so that a batch can contain one {unit}"
    check.require("tokens_per_batch", config.tokens_per_batch >= config.max_length, fix)
    check.require("held_out_share", 0.0 < config.held_out_share < 0.5, "must be in (0, 0.5)")


_MOST_TIMES = 1000.0
"""The largest weight. An epoch is planned as a whole, so that larger ones, such as sizes of files, need much memory."""


def check_weights(config, check: Checks, field: str, names: Sequence[str]) -> None:
    """Checks that there is a weight for each name in a field that lists files, if there are any weights."""
    if not config.weights:
        return
    check.require("weights", bool(names), f"requires data.{field}")
    fix = f"must have one weight for each name in data.{field}, which has {len(names)}"
    check.require("weights", len(config.weights) == len(names), fix)
    positive = all(0.0 < weight < math.inf for weight in config.weights)
    check.require("weights", positive, f"must be positive and finite; to leave a file out, remove it from data.{field}")
    fix = f"must be at most {_MOST_TIMES:g}, because 1 means once per epoch; divide all weights by the same number"
    check.require("weights", max(config.weights) <= _MOST_TIMES, fix)
