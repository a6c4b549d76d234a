"""Translation datasets of tensorflow-datasets by name, such as wmt14_translate/de-en.

tensorflow-datasets writes them into the cache as array_record files, without TensorFlow.
"""

import contextlib
import functools
import importlib
import io
import logging
import os
import pkgutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tensorflow_datasets as tfds
import tensorflow_datasets.translate
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.download import extractor

from tfmr.config import PairsConfig
from tfmr.config.paths import expanded
from tfmr.data.corpora.corpus import Corpus, LinePair, fingerprint
from tfmr.data.files import remove_abandoned
from tfmr.errors import InputError, nearest

log = logging.getLogger("tfmr")

_READ_BATCH = 4096  # records are read nearly ten times as fast in batches as one by one


@dataclass(frozen=True)
class NamedCorpus(Corpus):
    """A dataset of tensorflow-datasets; it is downloaded and prepared when its pairs are first read."""

    languages: tuple[str, str]
    """The source and target language, which are the names of the text in an example."""
    builder: Any = field(repr=False)
    """The tensorflow-datasets builder."""
    config: PairsConfig = field(repr=False)
    """The configuration; it names the folders."""

    def has(self, split: str) -> bool:
        """Returns whether the dataset has this split; raises InputError if it cannot be prepared."""
        return split in self._splits

    def read(self, split: str) -> Iterator[LinePair]:
        """Yields the pairs of a split that the dataset has; line feeds inside a text become spaces.

        Raises:
          InputError: if the dataset cannot be prepared or is damaged.
        """
        source, target = self.languages
        records = self.builder.as_data_source(split)
        for start in range(0, len(records), _READ_BATCH):
            indices = list(range(start, min(start + _READ_BATCH, len(records))))
            try:
                examples = records.__getitems__(indices)
            except RuntimeError as error:  # raised by the array_record reader
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"{self.builder.data_dir}: this dataset is damaged ({reason}); delete it and try again"
                ) from error
            for example in examples:
                yield _line(example[source]), _line(example[target])

    def size(self, split: str) -> int:
        """Returns the number of pairs in a split; raises InputError if the dataset cannot be prepared."""
        info = self.builder.info.splits if self.is_whole(split) else {}
        return info[split].num_examples if info else super().size(split)

    @functools.cached_property
    def _splits(self) -> frozenset[str]:
        """The splits that have pairs, once the dataset is prepared."""
        with _errors_in_one_line(self.config.corpus):
            _prepare(self.builder, self.config)
        have = frozenset(name for name, info in self.builder.info.splits.items() if info.num_examples)
        if "train" not in have:
            found = ", ".join(sorted(have)) or "empty"
            raise InputError(f"{self.builder.info.full_name}: has no train split; its splits are {found}")
        return have


def load_named(config: PairsConfig, others: tuple[str, ...]) -> Corpus:
    """Returns the dataset that `data.corpus` names; `others` are the corpora that this package reads itself.

    The dataset is downloaded and prepared in the cache when its pairs are first read. If `data.dir` is a data folder of
    tensorflow-datasets that contains the dataset as array_record files, it is read from there. Archives that have to be
    downloaded by hand are also looked for in `data.dir`.

    Raises:
      InputError: for an unknown name, or a dataset that does not have these two languages.
    """
    _check_name(config, others)
    folders = [config.cache_folder / "datasets", *([expanded(config.dir)] if config.dir else [])]
    builders = [_builder(config, folder) for folder in folders]
    builder = next((builder for builder in builders if _is_readable(builder)), builders[0])
    languages = (config.source_language, config.target_language)
    has = _languages(builder)
    if sorted(languages) != sorted(has):
        raise InputError(
            f"data.source_language, data.target_language = {languages}: {config.corpus} "
            + (f"has {' and '.join(has)}" if has else "is not a dataset of pairs in two languages")
        )
    version = fingerprint(config.corpus, str(builder.version), languages)
    return NamedCorpus(config.corpus, version, languages, builder, config, held_out_share=config.held_out_share)


def _check_name(config: PairsConfig, others: tuple[str, ...]) -> None:
    # A dataset can be found by name only when its module has been imported.
    for module in pkgutil.iter_modules(tensorflow_datasets.translate.__path__):
        if not module.name.endswith("_test"):
            importlib.import_module(f"tensorflow_datasets.translate.{module.name}")
    name, _, variant = config.corpus.partition("/")
    known = tfds.list_builders(with_community_datasets=False)
    if name not in known:
        near = nearest(name, [*others, *known])
        raise InputError(
            f"data.corpus = {config.corpus!r}: must be one of {', '.join(others)}, "
            f"or a translation dataset of tensorflow-datasets{near}"
        )
    variants = [variant.name for variant in tfds.builder_cls(name).BUILDER_CONFIGS]
    if variant and variant.partition(":")[0] not in variants:
        names = f"must be one of {', '.join(variants)}{nearest(variant, variants)}" if variants else f"write {name!r}"
        raise InputError(f"data.corpus = {config.corpus!r}: {name} has no variant {variant!r}; {names}")


def _builder(config: PairsConfig, folder: Path) -> Any:
    with _quiet_without_tensorflow():
        try:
            return tfds.builder(config.corpus, data_dir=folder)
        except Exception as error:  # the code of a dataset may raise anything
            raise InputError(f"data.corpus = {config.corpus!r}: {_one_line(error)}") from error


def _is_readable(builder: Any) -> bool:
    with _quiet_without_tensorflow():
        return builder.is_prepared() and builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD


def _languages(builder: Any) -> list[str]:
    """Returns the two languages of a dataset of pairs; [] for other datasets."""
    features = builder.info.features
    names = list(features) if isinstance(features, tfds.features.FeaturesDict) else []
    plain = all(isinstance(features[name], tfds.features.Text) for name in names)
    return names if plain and len(names) == 2 else []


def _prepare(builder: Any, config: PairsConfig) -> None:
    """Writes the dataset as array_record files, unless that has been done.

    tensorflow-datasets writes into a folder with another name and renames it. If two processes prepare the same
    dataset, the second to finish reads what the first has written.
    """
    with _quiet_without_tensorflow():
        if builder.is_prepared():
            return
    folder = Path(builder.data_dir)
    remove_abandoned(folder.parent, f"incomplete.*_{folder.name}")
    start = time.monotonic()
    log.info("Writing the dataset %s", folder)
    settings = tfds.download.DownloadConfig(manual_dir=expanded(config.dir) if config.dir else None)
    try:
        with _quiet_without_tensorflow():
            builder.download_and_prepare(
                file_format="array_record", download_dir=config.cache_folder / "downloads", download_config=settings
            )
    except OSError:
        if not (folder / "dataset_info.json").exists():
            raise
        builder.info.read_from_directory(folder)  # another process was first
    sizes = ", ".join(f"{name} {split.num_examples}" for name, split in builder.info.splits.items())
    log.info("Wrote the dataset in %.1f s: %s pairs", time.monotonic() - start, sizes)


@contextlib.contextmanager
def _quiet_without_tensorflow() -> Iterator[None]:
    """Makes tensorflow-datasets work without TensorFlow and keeps its output out of logs.

    Two of its internals are replaced, because it has no option for them:
    - A split of more than `shuffle.MAX_MEM_BUFFER_SIZE` bytes is sorted on disk by TensorFlow. Here it is sorted in
      memory.
    - `extractor.tf` opens archives with TensorFlow. Here the standard library does.

    Progress bars are shown on a terminal only.
    """
    files = SimpleNamespace(
        compat=SimpleNamespace(as_text=os.fspath), io=SimpleNamespace(gfile=SimpleNamespace(GFile=open))
    )
    absl = logging.getLogger("absl")
    before = shuffle.MAX_MEM_BUFFER_SIZE, extractor.tf, absl.level
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    shuffle.MAX_MEM_BUFFER_SIZE, extractor.tf = sys.maxsize, files
    absl.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE, extractor.tf = before[:2]
        absl.setLevel(before[2])


@contextlib.contextmanager
def _errors_in_one_line(name: str) -> Iterator[None]:
    """Turns the errors of a dataset's own code and of the network into one line that says what is needed."""
    elsewhere = (
        "prepare it on another machine with tfds.builder(...).download_and_prepare(file_format='array_record') and "
        "give its data folder with --data.dir"
    )
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        what = _one_line(error)
        if isinstance(error, ImportError):
            message = f"needs a package that is not installed ({what}); install it, or {elsewhere}"
        elif isinstance(error, OSError):  # includes network errors
            message = f"cannot be downloaded or written ({what}); try again, or {elsewhere}"
        elif isinstance(error, AssertionError):
            message = f"{what} (give the folder with --data.dir)"
        else:
            message = f"tensorflow-datasets cannot prepare it ({what}); {elsewhere}"
        raise InputError(f"{name}: {message}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


def _line(text: bytes) -> str:
    return text.decode("utf-8").replace("\r\n", " ").replace("\n", " ")
