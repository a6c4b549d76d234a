"""What every corpus gives: pairs of lines in three splits, and a fingerprint of what they were made from."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tfmr.errors import InputError

SPLITS = ("train", "validation", "test")

# Single records come at 4k a second, batches of them at 35k.
_READ_BATCH = 4096


@dataclass(frozen=True)
class Corpus:
    """Translation pairs behind a tensorflow-datasets builder.

    The builder is made, and its dataset prepared, when the first split is
    asked for: who only needs the fingerprint pays nothing.
    """

    name: str
    """Short name, for people and folder names."""
    fingerprint: str
    """Hexadecimal hash of all that decides the pairs: files' contents, versions, languages."""
    open_builder: Callable[[], Any] = field(repr=False)
    """Returns the prepared tensorflow-datasets builder."""
    source_key: str = "source"
    """Name of the source text in the builder's examples."""
    target_key: str = "target"
    """Name of the target text in the builder's examples."""
    tfds_splits: Callable[[Any], dict[str, str]] = field(repr=False, default=lambda _: {name: name for name in SPLITS})
    """Given the builder, returns what each of our splits is called there."""

    def size(self, split: str) -> int:
        """Returns the number of pairs in "train", "validation" or "test"."""
        return len(self._data_source(split))

    def split(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the (source, target) lines of "train", "validation" or "test", in order.

        A line holds no line feed. Pairs with an empty side are among them. Raises InputError if a file of the
        dataset is damaged.
        """
        data_source = self._data_source(split)
        for start in range(0, len(data_source), _READ_BATCH):
            places = list(range(start, min(start + _READ_BATCH, len(data_source))))
            try:
                examples = data_source.__getitems__(places)
            except RuntimeError as error:  # the array_record reader's
                folder = self.open_builder().data_dir
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"{folder}: this dataset is damaged ({reason}); delete it and try again") from error
            for example in examples:
                yield _line(example[self.source_key]), _line(example[self.target_key])

    def _data_source(self, split: str) -> Any:
        builder = self.open_builder()
        return builder.as_data_source(self.tfds_splits(builder)[split])


def _line(text: bytes) -> str:
    return text.decode("utf-8").replace("\r\n", " ").replace("\n", " ")


def fingerprint(*parts: object) -> str:
    """Returns the sha256 of values that JSON can hold, in hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def held_out_size(pairs: int) -> int:
    """Returns how many of so many pairs make a validation or test split where a corpus has none: about 1%."""
    return min(1000, max(1, pairs // 100))
