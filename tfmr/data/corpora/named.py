"""Any translation dataset of tensorflow-datasets by name, such as wmt14_translate/de-en."""

import contextlib
import functools
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
import tensorflow_datasets.translate

from tfmr.config import PairsConfig
from tfmr.data.corpora.builder import prepare_builder, quiet
from tfmr.data.corpora.corpus import SPLITS, Corpus, fingerprint, held_out_size
from tfmr.errors import InputError, nearest

log = logging.getLogger("tfmr")


def load_named(config: PairsConfig, others: tuple[str, ...]) -> Corpus:
    """Returns the dataset that `data.corpus` names; `others` are the corpora that are not tensorflow-datasets'.

    It is downloaded and prepared when its pairs are first read, in the cache; or read from `data.dir`, where that
    is a data folder of tensorflow-datasets in which it lies prepared as array_record files. Archives that must be
    downloaded by hand are looked for in `data.dir`.

    Raises:
      InputError: for an unknown name, or a dataset without these two languages.
    """
    _check_name(config, others)
    folders = [config.cache_folder / "datasets", *([Path(config.dir).expanduser()] if config.dir else [])]
    builders = [_builder(config, folder) for folder in folders]
    builder = next((builder for builder in builders if _is_readable(builder)), builders[0])
    languages = (config.source_language, config.target_language)
    has = _languages(builder)
    if sorted(languages) != sorted(has):
        raise InputError(
            f"data.source_language, data.target_language = {languages}: {config.corpus} "
            + (f"has {' and '.join(has)}" if has else "is not a dataset of pairs in two languages")
        )
    key = fingerprint(config.corpus, str(builder.version), languages)
    open_builder = functools.cache(lambda: _prepare(builder, config))
    return Corpus(config.corpus, key, open_builder, *languages, tfds_splits=_splits)


def _check_name(config: PairsConfig, others: tuple[str, ...]) -> None:
    # Only modules that have been imported offer their datasets by name.
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
        names = f"it has {', '.join(variants)}{nearest(variant, variants)}" if variants else f"write {name!r}"
        raise InputError(f"data.corpus = {config.corpus!r}: there is no {variant!r}; {names}")


def _builder(config: PairsConfig, folder: Path) -> Any:
    with quiet():
        try:
            return tfds.builder(config.corpus, data_dir=folder)
        except Exception as error:  # whatever a dataset's own code raises
            raise InputError(f"data.corpus = {config.corpus!r}: {_one_line(error)}") from error


def _is_readable(builder: Any) -> bool:
    with quiet():
        return builder.is_prepared() and builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD


def _languages(builder: Any) -> list[str]:
    """Returns the two languages of a dataset of pairs, else none."""
    features = builder.info.features
    names = list(features) if isinstance(features, tfds.features.FeaturesDict) else []
    plain = all(isinstance(features[name], tfds.features.Text) for name in names)
    return names if plain and len(names) == 2 else []


def _prepare(builder: Any, config: PairsConfig) -> Any:
    settings = tfds.download.DownloadConfig(manual_dir=Path(config.dir).expanduser() if config.dir else None)
    with _one_line_errors(config.corpus):
        return prepare_builder(builder, download_dir=config.cache_folder / "downloads", download_config=settings)


@contextlib.contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Turns what a dataset's own code and the network raise into one line that says what is needed."""
    elsewhere = (
        "prepare it elsewhere by tfds.builder(...).download_and_prepare(file_format='array_record') and name its "
        "data folder with --data.dir"
    )
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{name}: needs a package that is not installed ({_one_line(error)}); install it, or {elsewhere}"
        ) from error
    except OSError as error:  # of the network as well
        raise InputError(
            f"{name}: cannot be downloaded or written ({_one_line(error)}); try again, or {elsewhere}"
        ) from error
    except AssertionError as error:
        raise InputError(f"{name}: {_one_line(error)} (the folder is named with --data.dir)") from error
    except Exception as error:
        raise InputError(f"{name}: tensorflow-datasets cannot prepare it ({_one_line(error)}); {elsewhere}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


def _splits(builder: Any) -> dict[str, str]:
    """Returns what our splits are called; one that the dataset lacks is cut from the start of its train split."""
    have = {name: info.num_examples for name, info in builder.info.splits.items() if info.num_examples}
    if "train" not in have:
        raise InputError(f"{builder.info.full_name}: has no train split, but {', '.join(have) or 'none'}")
    lacking = [split for split in SPLITS if split not in have]
    size = held_out_size(have["train"])
    if have["train"] <= len(lacking):
        raise InputError(
            f"{builder.info.full_name}: its {have['train']} pairs are too few to hold out {', '.join(lacking)}"
        )
    if lacking:
        log.info("No split %s: %d pairs each are held out of train", " and ".join(lacking), size)
    cut = {split: f"train[{place * size}:{(place + 1) * size}]" for place, split in enumerate(lacking)}
    return {split: split for split in have} | cut | {"train": f"train[{len(lacking) * size}:]"}
