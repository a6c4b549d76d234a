"""tensorflow-datasets without its noise and without TensorFlow: one base class, one way to prepare a dataset."""

import contextlib
import functools
import io
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.download import downloader, extractor
from tensorflow_datasets.core.utils import tqdm_utils

from tfmr.config import PairsConfig
from tfmr.data.corpora.corpus import SPLITS

log = logging.getLogger("tfmr")

_ABANDONED_AFTER = 24 * 3600.0  # seconds after which a half-written dataset is no longer another process's


class PairsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A corpus of (source, target) lines that keeps their order; subclasses give `pairs`.

    The builder's config carries the fingerprint of its content in its name, so
    that a folder of the cache never stands for two contents.
    """

    VERSION = tfds.core.Version("1.0.0")

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the (source, target) lines of "train", "validation" or "test"."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"source": tfds.features.Text(), "target": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, str]]]:
        for number, (source, target) in enumerate(self.pairs(split)):
            yield number, {"source": source, "target": target}


def prepared_later(
    builder_class: type[PairsBuilder], builder_config: tfds.core.BuilderConfig, config: PairsConfig
) -> Callable[[], PairsBuilder]:
    """Returns a function that prepares a builder in the cache at its first call, and returns it."""

    @functools.cache
    def open_builder() -> PairsBuilder:
        with quiet():
            builder = builder_class(data_dir=config.cache_folder / "datasets", config=builder_config)
        return prepare_builder(builder)

    return open_builder


def prepare_builder(builder: Any, **download_and_prepare: Any) -> Any:
    """Writes a builder's dataset as array_record files unless that is done already; returns the builder.

    tensorflow-datasets writes into a folder of another name and renames it, so
    a dataset that can be seen is whole. Of two processes that prepare the same
    one, the second to finish finds the first one's and reads that.
    """
    folder = Path(builder.data_dir)
    with quiet():
        if builder.is_prepared():
            return builder
    _remove_abandoned(folder)
    start = time.monotonic()
    log.info("Writing the dataset %s", folder)
    try:
        with quiet():
            builder.download_and_prepare(file_format="array_record", **download_and_prepare)
    except OSError:
        if not (folder / "dataset_info.json").exists():
            raise
        builder.info.read_from_directory(folder)  # another process was first
    sizes = ", ".join(f"{name} {split.num_examples}" for name, split in builder.info.splits.items())
    log.info("Wrote the dataset in %.1f s: %s pairs", time.monotonic() - start, sizes)
    return builder


def _remove_abandoned(folder: Path) -> None:
    for leftover in folder.parent.glob(f"incomplete.*_{folder.name}"):
        if time.time() - leftover.stat().st_mtime > _ABANDONED_AFTER:
            shutil.rmtree(leftover, ignore_errors=True)


# What tensorflow-datasets' extractor takes from TensorFlow is no more than this.
_FILES_WITHOUT_TENSORFLOW = SimpleNamespace(
    compat=SimpleNamespace(as_text=os.fspath), io=SimpleNamespace(gfile=SimpleNamespace(GFile=open))
)
_MAX_RETRIES = 5  # the last wait is 3 s; with the library's 10, a machine without network waits 3 minutes


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Makes tensorflow-datasets write nothing into logs, and need no TensorFlow.

    Above its limit of 1000 MiB it would sort a split on disk, by TensorFlow: here it sorts in memory. Archives are
    unpacked by the standard library. Progress bars are shown on a terminal only.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "urllib3")]
    levels = [logger.level for logger in loggers]
    with contextlib.ExitStack() as stack:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(logging.ERROR)
            stack.callback(logger.setLevel, level)
        stack.enter_context(_attribute(shuffle, "MAX_MEM_BUFFER_SIZE", sys.maxsize))
        stack.enter_context(_attribute(downloader, "MAX_RETRIES", _MAX_RETRIES))
        stack.enter_context(_attribute(extractor, "tf", _FILES_WITHOUT_TENSORFLOW))
        stack.enter_context(_attribute(tqdm_utils, "_active", sys.stderr.isatty()))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@contextlib.contextmanager
def _attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
