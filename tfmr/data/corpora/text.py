"""Text files as a corpus: a folder with a pair of files or a TSV file for each split, or one pair of files or TSV file.

If there is no file for validation or test, about one percent of the training pairs is held out. Their content alone
determines which: all copies of a pair are on the same side, wherever they are in the file.
"""

import functools
import hashlib
import heapq
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tfmr.config import PairsConfig
from tfmr.data.corpora.corpus import MAX_HELD_OUT, READER_VERSION, SPLITS, Corpus, fingerprint, held_out_size
from tfmr.data.corpora.lines import missing_file, read_pairs, read_tsv, sha256_of_file
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

T = TypeVar("T")

_STEMS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_ENOUGH_PAIRS = 100 * MAX_HELD_OUT  # with more distinct pairs than this, `held_out_size` stays the same


@dataclass(frozen=True)
class TextCorpus(Corpus):
    """Text files that are read line by line, as often as their pairs are needed."""

    files: dict[str, list[Path]] = field(repr=False)
    """The files of each split that has any: source and target, or one TSV file."""

    def split(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the pairs of a split, held out of the training files if it has no files itself.

        Raises:
          InputError: for anything wrong with the files, or if there are too few pairs to hold any out.
        """
        if split not in self.files:
            return (pair for pair, _ in self._held_out.parts[split].values())
        pairs = _read(self.files[split])
        if split != "train" or not self._held_out.parts:
            return pairs
        held_out = {number for part in self._held_out.parts.values() for number in part}
        return (pair for pair in pairs if _hash(pair) not in held_out)

    def size(self, split: str) -> int:
        """Returns the number of pairs in a split; raises as `split` does."""
        if split == "train" and self._held_out.parts:
            return self._held_out.rest
        return super().size(split)

    @functools.cached_property
    def _held_out(self) -> "_HeldOut":
        """The pairs of the splits that have no files.

        They are the pairs with the smallest hashes. That choice does not depend on the text, and few pairs move when
        others are added. Memory is bounded: at most _ENOUGH_PAIRS hashes are needed to know how many to hold out.
        """
        lacking = [split for split in SPLITS if split not in self.files]
        if not lacking:
            return _HeldOut({}, 0)
        distinct: _Smallest[None] = _Smallest(_ENOUGH_PAIRS)
        candidates: _Smallest[tuple[str, str]] = _Smallest(len(lacking) * MAX_HELD_OUT)
        total = 0
        for pair in _read(self.files["train"]):
            total += 1
            number = _hash(pair)
            if number < distinct.limit and all(map(str.strip, pair)):
                distinct.add(number, None)
                candidates.add(number, pair)
        count = len(distinct.sorted())
        names = " and ".join(map(str, self.files["train"]))
        if count <= len(lacking):
            raise InputError(
                f"{names}: {count} distinct pairs are too few to hold out {' and '.join(lacking)}; "
                "add pairs or give files for these splits"
            )
        size = held_out_size(count)
        log.info("No files for %s: holding out %d pairs of %s for each", " and ".join(lacking), size, names)
        smallest = candidates.sorted()
        numbers = {split: {*smallest[i * size : (i + 1) * size]} for i, split in enumerate(lacking)}
        parts = {
            split: {number: value for number, value in candidates.values.items() if number in numbers[split]}
            for split in lacking
        }
        return _HeldOut(parts, total - sum(copies for part in parts.values() for _, copies in part.values()))


class _HeldOut(NamedTuple):
    parts: dict[str, dict[int, tuple[tuple[str, str], int]]]
    """The distinct pairs of each split in the order of the training files: by hash, with the number of copies."""
    rest: int
    """The number of pairs that are left for training."""


class _Smallest(Generic[T]):
    """The smallest of a stream of numbers, in memory of a fixed size."""

    def __init__(self, size: int):
        """Starts with no numbers; `size` is how many are kept."""
        self.values: dict[int, tuple[T, int]] = {}
        """The value that first came with each number, and how often the number came; in the order in which they came.
        Includes some numbers that are not among the smallest."""
        self.limit = 1 << 64
        """All numbers from here on are ignored."""
        self._size = size

    def add(self, number: int, value: T) -> None:
        """Adds a number unless it is too large."""
        if number >= self.limit:
            return
        first, copies = self.values.get(number, (value, 0))
        self.values[number] = first, copies + 1
        if len(self.values) > 2 * self._size:
            self.limit = self.sorted()[-1] + 1
            self.values = {number: value for number, value in self.values.items() if number < self.limit}

    def sorted(self) -> list[int]:
        """Returns the smallest distinct numbers, ascending."""
        return heapq.nsmallest(self._size, self.values)


def _hash(pair: tuple[str, str]) -> int:
    digest = hashlib.blake2b("\n".join(pair).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _read(files: list[Path]) -> Iterator[tuple[str, str]]:
    count = 0
    for pair in read_tsv(files[0]) if len(files) == 1 else read_pairs(files[0], files[1]):
        count += 1
        yield pair
    if not count:
        raise InputError(f"{files[0]}: is empty; a corpus needs at least one line")


def load_text(config: PairsConfig) -> Corpus:
    """Returns the corpus in the folder `data.dir`, or in `data.source_file` and `data.target_file`.

    For train, validation (also valid, val, dev) and test, a folder contains `{split}.{source_language}` and
    `{split}.{target_language}`, or `{split}.tsv` with source, tab, target; each plain or .gz.

    Raises:
      InputError: if files are missing.
    """
    files = _given_files(config) if config.source_file else _files_of_folder(config)
    sums = {split: [sha256_of_file(path) for path in paths] for split, paths in files.items()}
    return TextCorpus("text", fingerprint("text", READER_VERSION, sums), files)


def _given_files(config: PairsConfig) -> dict[str, list[Path]]:
    if config.dir:
        raise InputError(f"data.dir = {config.dir!r}: cannot be combined with data.source_file; give only one of them")
    paths = [Path(name).expanduser() for name in (config.source_file, config.target_file) if name]
    for path in paths:
        if not path.is_file():
            raise missing_file(path)
    return {"train": paths}


def _files_of_folder(config: PairsConfig) -> dict[str, list[Path]]:
    if not config.dir:
        raise InputError("data.corpus = 'text': needs a folder (data.dir) or a file (data.source_file)")
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
    """Returns the two files or the TSV file of the first stem that has any; [] if none has."""
    for stem in stems:
        pair = [plain_or_gzip(folder / f"{stem}.{language}") for language in languages]
        if pair[0] and pair[1]:
            return [pair[0], pair[1]]
        tsv = plain_or_gzip(folder / f"{stem}.tsv")
        if tsv:
            return [tsv]
        if pair[0] or pair[1]:
            raise missing_file(folder / f"{stem}.{languages[0] if pair[1] else languages[1]}")
    return []


def plain_or_gzip(path: Path) -> Path | None:
    """Returns this file, or the one with .gz added to its name; None if there is neither."""
    candidates = (path, path.with_name(f"{path.name}.gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
