"""The interface of a prepared corpus, and its preparation."""

import dataclasses
import os
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tfmr.config import DataConfig
from tfmr.data.batching import Arrays, BatchPlan
from tfmr.data.corpora.corpus import fingerprint
from tfmr.data.files import UNWRITABLE, write_bytes_atomically
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError


@runtime_checkable
class Split(Protocol):
    """A part of a corpus, such as "train", from which batches are made."""

    def plan(self, config: Any) -> BatchPlan:
        """Returns the batches of every epoch. Raises InputError if there is nothing to train on."""
        ...

    def arrays(self, batch: Any, *, rows_multiple: int = 1, rows_of: Callable[[int], Sequence[int]] = range) -> Arrays:
        """Returns a batch of the plan, or some of its rows, as NumPy arrays; see `tfmr.data.pairs.PairSplit.arrays`."""
        ...


@runtime_checkable
class Corpus(Protocol):
    """A prepared corpus."""

    def split(self, split: str) -> Any:
        """Returns the `Split` of this name."""
        ...

    def describe(self, config: Any) -> str:
        """Returns what `tfmr prepare` prints: a summary of the corpus and of the batches of an epoch."""
        ...

    def content_hash(self) -> str:
        """Returns a hash of everything that the batches depend on."""
        ...


def prepare_corpus(config: DataConfig, tokenizer: Tokenizer | None = None) -> Corpus:
    """Returns the corpus that a configuration describes, preparing it first if needed.

    Args:
      config: the configuration.
      tokenizer: a tokenizer to use in place of the configuration's own; None: its own.

    Raises:
      InputError: for anything that is wrong with the corpus or with the cache folder.
    """
    try:
        return pkgutil.resolve_name(config.prepare)(_with_tokenizer(config, tokenizer))
    except OSError as error:
        folder = config.cache_folder if hasattr(config, "cache") else None
        if folder is None or error.errno not in UNWRITABLE or not _concerns(error, folder):
            raise
        reason = os.strerror(error.errno)
        raise InputError(
            f"{folder}: the folder for prepared corpora cannot be used ({reason}); free up space, fix its permissions "
            "or choose another with --data.cache"
        ) from error


def _with_tokenizer(config: DataConfig, tokenizer: Tokenizer | None) -> DataConfig:
    """Returns a configuration that uses a tokenizer, which is written to the cache; None: its own."""
    if tokenizer is None or not hasattr(config, "tokenizer_file"):
        return config
    content = tokenizer.to_json()
    file = config.cache_folder / "tokenizers" / f"{fingerprint(content)[:16]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(file, content.encode())
    given: Any = config
    return dataclasses.replace(given, tokenizer_file=str(file))


def _concerns(error: OSError, folder: Path) -> bool:
    """Returns whether an error concerns a file in a folder or a parent folder, or names no file."""
    if error.filename is None:  # the file was already open
        return True
    path = Path(os.fsdecode(error.filename))
    return path.is_relative_to(folder) or folder.is_relative_to(path)
