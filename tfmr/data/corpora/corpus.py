"""What a corpus is: pairs of lines in three splits, and a fingerprint of everything that determines them."""

import abc
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")
READER_VERSION = "1.0.0"
"""Part of every fingerprint; changes whenever the same files are read as different pairs."""
MAX_HELD_OUT = 1000
"""The most pairs that are held out of the training files for one split."""


@dataclass(frozen=True)
class Corpus(abc.ABC):
    """A corpus of translation pairs. Creating one reads no pairs."""

    name: str
    """A short name for people and folder names."""
    fingerprint: str
    """A hexadecimal hash of everything that determines the pairs: the content of files, versions, languages."""

    @abc.abstractmethod
    def split(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the (source, target) lines of "train", "validation" or "test", in the same order every time.

        Lines contain no line feed. Pairs with an empty side are included.

        Raises:
          InputError: if a file is damaged, or a split is missing and cannot be held out.
        """

    def size(self, split: str) -> int:
        """Returns the number of pairs in a split; unless a subclass knows better, by reading it."""
        return sum(1 for _ in self.split(split))


def fingerprint(*parts: object) -> str:
    """Returns the sha256 of values that JSON can represent, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def held_out_size(pairs: int) -> int:
    """Returns the size of a validation or test split that is held out of this many pairs: 1%, at most 1000."""
    return min(MAX_HELD_OUT, max(1, pairs // 100))
