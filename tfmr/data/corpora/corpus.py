"""A corpus: pairs of lines in three splits, and a fingerprint of everything that determines them.

A missing validation or test split is held out from the training pairs: it consists of those whose hash is in a fixed
range. Because the hash depends only on its content, a pair stays in its split when others are added or removed.
"""

import abc
import functools
import hashlib
import heapq
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from tfmr.data.progress import counted
from tfmr.errors import InputError

log = logging.getLogger("tfmr")

T = TypeVar("T")
LinePair = tuple[str, str]

SPLITS = ("train", "validation", "test")
READER_VERSION = "2.0.0"
"""Part of every fingerprint; changes whenever the same files are read as different pairs."""
MAX_HELD_OUT = 1000
"""The maximum number of pairs in a held-out split. If there are more, those with the smallest hashes are used."""

_HASHES = 1 << 64


@dataclass(frozen=True)
class Corpus(abc.ABC):
    """A corpus of translation pairs. Creating one reads no pairs."""

    name: str
    """A short name for people and folder names."""
    fingerprint: str
    """A hexadecimal hash of everything that determines the pairs: the content of files, versions, languages."""
    held_out_share: float = field(kw_only=True)
    """The share of training pairs that is held out for each split that is missing."""

    @abc.abstractmethod
    def has(self, split: str) -> bool:
        """Returns whether the corpus has this split itself."""

    @abc.abstractmethod
    def read(self, split: str) -> Iterator[LinePair]:
        """Yields the (source, target) lines of a split that the corpus has, in the same order every time.

        Lines contain no line feed. Pairs with an empty side are included.

        Raises:
          InputError: if a file is damaged.
        """

    def sizes_of_files(self, is_left_out: Callable[[LinePair], bool]) -> list[int]:
        """Returns the number of training pairs of each file, without those that are held out or left out."""
        return [sum(not is_left_out(pair) for pair in self.split("train"))]

    def place(self, split: str, number: int) -> str:
        """Returns the location of pair `number` of a split, from 1. The pair must have been read."""
        return f"pair {number:,} of {split}"

    def numbered(self, split: str) -> Iterator[tuple[int, LinePair]]:
        """Yields the pairs of a split that the corpus has, each with its number for `place`; raises as `split` does."""
        pairs = enumerate(self.read(split), start=1)
        if self.is_whole(split):
            return pairs
        held_out = self._held_out.parts
        return (pair for pair in pairs if side_of(pair[1], self.held_out_share) not in held_out)

    def split(self, split: str) -> Iterator[LinePair]:
        """Yields the pairs of "train", "validation" or "test"; see `read`.

        Raises:
          InputError: if a file is damaged, or a split is missing and no pair can be held out.
        """
        if not self.has(split):
            return iter(self._held_out.parts[split])
        return (pair for _, pair in self.numbered(split))

    def is_held_out(self, pair: LinePair) -> bool:
        """Returns whether a pair among the training pairs is held out for a split that the corpus lacks."""
        return side_of(pair, self.held_out_share) in self._lacking

    def is_whole(self, split: str) -> bool:
        """Returns whether the corpus has a split and nothing is held out from it."""
        return self.has(split) and (split != "train" or not self._lacking)

    def size(self, split: str) -> int:
        """Returns the number of pairs in a split; unless a subclass knows better, by reading it."""
        if split == "train" and not self.is_whole(split):
            return self._held_out.rest
        return sum(1 for _ in counted(self.split(split), f"Reading {split}", "pairs"))

    @functools.cached_property
    def _lacking(self) -> list[str]:
        return [split for split in SPLITS if not self.has(split)]

    @functools.cached_property
    def _held_out(self) -> "_HeldOut":
        """The splits that are missing: distinct pairs in the order of the training pairs."""
        found = {split: Smallest[LinePair](MAX_HELD_OUT) for split in self._lacking}
        total = rest = 0
        for pair in counted(self.read("train"), "Reading", "pairs"):
            total += 1
            side = side_of(pair, self.held_out_share)
            if side in found:
                found[side].add(_hash(pair), pair)
            else:
                rest += 1
        parts = {split: smallest.in_order() for split, smallest in found.items()}
        for split, pairs in parts.items():
            if not pairs:
                raise InputError(
                    f"corpus {self.name}: {total} pairs are too few to hold out a {split} split; increase "
                    f"data.held_out_share (now {self.held_out_share}), or provide files for {split}"
                )
        sizes = " and ".join(f"{len(pairs)} pairs for {split}" for split, pairs in parts.items())
        log.info("Holding out %s from %d training pairs, chosen by their content", sizes, total)
        return _HeldOut(parts, rest)


class _HeldOut(NamedTuple):
    parts: dict[str, list[LinePair]]
    """The pairs of each split that is missing."""
    rest: int
    """The number of pairs that are left for training."""


def side_of(pair: LinePair, share: float) -> str:
    """Returns the split that a pair belongs to if validation and test are held out; "train" if a side is blank.

    The ranges are at both ends, so that with another share pairs only move between training and one of the others.
    """
    number = _hash(pair)
    if share * _HASHES <= number < (1.0 - share) * _HASHES or not (pair[0].strip() and pair[1].strip()):
        return "train"
    return "validation" if number < share * _HASHES else "test"


def is_in_sample(pair: LinePair, share: float) -> bool:
    """Returns whether a pair is in a sample of about this share of all pairs, which its content alone determines."""
    return share >= 1.0 or (_hash(pair) & 0xFFFFFFFF) < share * (1 << 32)


def _hash(pair: LinePair) -> int:
    return hash_of_text("\n".join(sorted(pair)))  # the same in both directions of translation


def hash_of_text(text: str) -> int:
    """Returns a hash of 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Smallest(Generic[T]):
    """Keeps the values with the smallest numbers of a stream, in a fixed amount of memory."""

    def __init__(self, size: int):
        """Starts with no numbers; `size` is how many are kept."""
        self._size = size
        self._values: dict[int, T] = {}  # in order of arrival; some are not among the smallest
        self._limit = _HASHES  # all numbers from here on are ignored

    def add(self, number: int, value: T) -> None:
        """Adds a value unless its number is too large or has occurred before."""
        if number < self._limit:
            self._values.setdefault(number, value)
        if len(self._values) > 2 * self._size:
            self._limit = heapq.nsmallest(self._size, self._values)[-1] + 1
            self._values = {number: value for number, value in self._values.items() if number < self._limit}

    def in_order(self) -> list[T]:
        """Returns the values with the smallest numbers, in order of arrival."""
        smallest = {*heapq.nsmallest(self._size, self._values)}
        return [value for number, value in self._values.items() if number in smallest]


def fingerprint(*parts: object) -> str:
    """Returns the sha256 of values that JSON can represent, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
