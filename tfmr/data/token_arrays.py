"""Sentences of token ids as two flat arrays on disk: the tokens, and where each sentence starts."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64, Integer

from tfmr.data.tokenizer import BOS_ID
from tfmr.errors import InputError

T = TypeVar("T", bound="TokenArrays")


@dataclass(frozen=True)
class TokenArrays:
    """Sentences of token ids, each with its EOS token, or the documents of a running text.

    Opened from a folder, they are read from disk when they are used.
    """

    tokens: Integer[np.ndarray, "total"]
    """All sentences, concatenated: uint16 if the vocabulary is small enough, else int32."""
    offsets: Int64[np.ndarray, "boundaries"]
    """Sentence i is tokens[offsets[i] : offsets[i + 1]]; one more than the number of sentences."""
    begin_mark: int = BOS_ID
    """The input from which the first token of a sentence is predicted."""
    lengths: Int64[np.ndarray, "sentences"] = field(init=False)
    """Number of tokens of each sentence, EOS included."""

    def __post_init__(self):
        object.__setattr__(self, "lengths", np.diff(self.offsets))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sentence: int) -> Integer[np.ndarray, "length"]:
        """Returns the ids of one sentence as a read-only view; raises IndexError if there is no such sentence."""
        if not 0 <= sentence < len(self):
            raise IndexError(f"sentence {sentence} of {len(self)}")
        return self.tokens[self.offsets[sentence] : self.offsets[sentence + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[sentence] for sentence in range(len(self)))

    @classmethod
    def open(cls: type[T], folder: Path, name: str) -> T:
        """Maps `{name}.tokens.npy` and `{name}.offsets.npy` of a folder into memory.

        Raises:
          InputError: if one of them cannot be read.
        """
        try:
            arrays = [np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("tokens", "offsets")]
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{folder}: the prepared arrays of {name} are damaged ({str(error).splitlines()[0]}); delete this "
                "folder, and the corpus will be prepared again"
            ) from None
        return cls(*(array.view(np.ndarray) for array in arrays))


class TokenWriter:
    """Writes the two arrays of a `TokenArrays` as sentences are added, in constant memory.

    Before `close` the files are no valid arrays, but a new writer continues them.
    """

    def __init__(self, folder: Path, name: str, vocab_size: int):
        """Creates the files, or continues those that are there; token ids must be less than `vocab_size`."""
        self._tokens = _ArrayFile(folder / f"{name}.tokens.npy", np.uint16 if vocab_size <= 1 << 16 else np.int32)
        self._offsets = _ArrayFile(folder / f"{name}.offsets.npy", np.int64)
        if not self._offsets.size:
            self._offsets.append(np.zeros(1))

    def extend(self, sentences: Sequence[Sequence[int]]) -> None:
        """Adds sentences, which include EOS."""
        lengths = np.array([len(sentence) for sentence in sentences], np.int64)
        ids = itertools.chain.from_iterable(sentences)
        self._offsets.append(self.total + np.cumsum(lengths))
        self._tokens.append(np.fromiter(ids, self._tokens.dtype, int(lengths.sum())))

    def append(self, tokens: Integer[np.ndarray, " length"], *, end_mark: int | None = None, last: bool = True) -> None:
        """Adds a text or, until one is the last, a part of it, followed by `end_mark` unless that is None."""
        self._tokens.append(np.append(tokens, [] if end_mark is None else end_mark))
        if last:
            self._offsets.append(np.array([self.total]))

    @property
    def total(self) -> int:
        """Number of tokens written so far, EOS included."""
        return self._tokens.size

    def close(self) -> None:
        """Completes both files."""
        self._tokens.close()
        self._offsets.close()


class _ArrayFile:
    """A one-dimensional .npy file that grows."""

    def __init__(self, path: Path, dtype: type):
        self.dtype, self.size = np.dtype(dtype), 0
        # Without a buffer, from which an abandoned writer could still write when another one continues the file.
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._write_header()
        start = self._file.tell()
        self.size = (self._file.seek(0, os.SEEK_END) - start) // self.dtype.itemsize

    def _write_header(self) -> None:
        # numpy pads the header, so that it can be overwritten when the size has more digits.
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, values: np.ndarray) -> None:
        left = memoryview(values.astype(self.dtype).tobytes())
        while left:
            left = left[self._file.write(left) :]
        self.size += len(values)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()
