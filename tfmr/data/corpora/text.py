"""Your own text: a folder of line-by-line files or TSVs, or one pair of files.

Where there is no validation or test file, about a hundredth of the training
pairs is held out. Which ones is decided by their content alone: the same pair
is always on the same side, wherever it stands and however often.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import tensorflow_datasets as tfds

from tfmr.config import PairsConfig
from tfmr.data.corpora.builder import PairsBuilder, prepared_later
from tfmr.data.corpora.corpus import SPLITS, Corpus, fingerprint, held_out_size
from tfmr.data.corpora.lines import missing_file, read_pairs, read_tsv, sha256_of_file
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

_STEMS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


@dataclasses.dataclass
class TextConfig(tfds.core.BuilderConfig):
    """Adds the files of each split that has any: source and target, or one TSV."""

    files: dict[str, list[Path]] = dataclasses.field(default_factory=dict)


class Text(PairsBuilder, skip_registration=True):
    """Text files."""

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the pairs of a split, held out of the training files if it has none of its own.

        Raises:
          InputError: for anything wrong with the files, or too few pairs to hold any out.
        """
        files = cast(TextConfig, self.builder_config).files
        held_out = self._held_out
        if split == "train":
            return (
                pair for pair in _read(files["train"]) if not any(_hash(pair) in part for part in held_out.values())
            )
        if split in held_out:
            return _first_of_each(_read(files["train"]), held_out[split])
        return _read(files[split])

    @functools.cached_property
    def _held_out(self) -> dict[str, set[int]]:
        """Returns the hashes of the pairs that each split without files takes from the training files."""
        files = cast(TextConfig, self.builder_config).files
        lacking = [split for split in SPLITS if split not in files]
        if not lacking:
            return {}
        hashes = np.unique(
            np.fromiter((_hash(pair) for pair in _read(files["train"]) if all(map(str.strip, pair))), np.uint64)
        )
        names = " and ".join(map(str, files["train"]))
        if len(hashes) <= len(lacking):
            raise InputError(
                f"{names}: {len(hashes)} different pairs are too few to hold out {' and '.join(lacking)}; give files"
            )
        size = held_out_size(len(hashes))
        log.info("No files for %s: %d pairs each are held out of %s", " and ".join(lacking), size, names)
        # The smallest hashes: a choice that has nothing to do with the text, and stays when pairs are added elsewhere.
        return {split: set(hashes[place * size : (place + 1) * size].tolist()) for place, split in enumerate(lacking)}


def _hash(pair: tuple[str, str]) -> int:
    digest = hashlib.blake2b("\n".join(pair).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _first_of_each(pairs: Iterator[tuple[str, str]], hashes: set[int]) -> Iterator[tuple[str, str]]:
    left = set(hashes)
    for pair in pairs:
        number = _hash(pair)
        if number in left:
            left.remove(number)
            yield pair


def _read(files: list[Path]) -> Iterator[tuple[str, str]]:
    count = 0
    for pair in read_tsv(files[0]) if len(files) == 1 else read_pairs(files[0], files[1]):
        count += 1
        yield pair
    if not count:
        raise InputError(f"{files[0]}: is empty; a corpus needs at least one line")


def load_text(config: PairsConfig) -> Corpus:
    """Returns the corpus in the folder `data.dir`, or in `data.source_file` and `data.target_file`.

    A folder holds, for train, validation (also valid, val, dev) and test, `{split}.{source_language}` beside
    `{split}.{target_language}`, or `{split}.tsv` with source, tab, target; each plain or .gz.

    Raises:
      InputError: if files are missing.
    """
    files = _given_files(config) if config.source_file else _files_of_folder(config)
    sums = {split: [sha256_of_file(path) for path in paths] for split, paths in files.items()}
    key = fingerprint("text", str(Text.VERSION), sums)
    builder_config = TextConfig(name=key[:32], files=files)

    return Corpus("text", key, prepared_later(Text, builder_config, config))


def _given_files(config: PairsConfig) -> dict[str, list[Path]]:
    if config.dir:
        raise InputError(f"data.dir = {config.dir!r}: give either it or data.source_file, not both")
    paths = [Path(name).expanduser() for name in (config.source_file, config.target_file) if name]
    for path in paths:
        if not path.is_file():
            raise missing_file(path)
    return {"train": paths}


def _files_of_folder(config: PairsConfig) -> dict[str, list[Path]]:
    if not config.dir:
        raise InputError("data.corpus = 'text': name its folder with data.dir, or a file with data.source_file")
    languages = (config.source_language, config.target_language)
    if any("/" in language or "\\" in language for language in languages) or languages[0] == languages[1]:
        raise InputError(
            f"data.source_language, data.target_language = {languages}: must be two different file endings"
        )
    folder = Path(config.dir).expanduser()
    found = {split: _files_of_split(folder, stems, languages) for split, stems in _STEMS.items()}
    if not found["train"]:
        raise missing_file(folder / f"train.{languages[0]}")
    return {split: paths for split, paths in found.items() if paths}


def _files_of_split(folder: Path, stems: tuple[str, ...], languages: tuple[str, str]) -> list[Path]:
    """Returns the two files or the TSV of a split, the first that is there; [] if there is none."""
    for stem in stems:
        pair = [_plain_or_gzip(folder / f"{stem}.{language}") for language in languages]
        if pair[0] and pair[1]:
            return [pair[0], pair[1]]
        tsv = _plain_or_gzip(folder / f"{stem}.tsv")
        if tsv:
            return [tsv]
        if pair[0] or pair[1]:
            raise missing_file(folder / f"{stem}.{languages[0] if pair[1] else languages[1]}")
    return []


def _plain_or_gzip(path: Path) -> Path | None:
    candidates = (path, path.with_name(f"{path.name}.gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
