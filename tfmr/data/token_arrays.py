"""Sentences of token ids as two flat arrays on disk: the tokens, and where each sentence starts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64, Integer

from tfmr.data.tokenizer import BOS_ID, EOS_ID

T = TypeVar("T", bound="TokenArrays")


@dataclass(frozen=True)
class TokenArrays:
    """Sentences of token ids, each with its end mark, read from disk as they are used.

    Or the documents of a running text; one that is cut off, or that is the whole text, has no end mark.
    """

    tokens: Integer[np.ndarray, "total"]
    """All sentences one after another: uint16 where the vocabulary fits, else int32."""
    offsets: Int64[np.ndarray, "boundaries"]
    """Sentence i is tokens[offsets[i] : offsets[i + 1]]; one more than there are sentences."""
    begin_mark: int = BOS_ID
    """What is looked at before the first token of a sentence."""
    lengths: Int64[np.ndarray, "sentences"] = field(init=False)
    """Tokens of each sentence, end mark included."""

    def __post_init__(self):
        object.__setattr__(self, "lengths", np.diff(self.offsets))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sentence: int) -> Integer[np.ndarray, "length"]:
        """Returns the ids of one sentence, a read-only view; raises IndexError beyond the last."""
        if not 0 <= sentence < len(self):
            raise IndexError(f"sentence {sentence} of {len(self)}")
        return self.tokens[self.offsets[sentence] : self.offsets[sentence + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[sentence] for sentence in range(len(self)))

    @classmethod
    def open(cls: type[T], folder: Path, name: str) -> T:
        """Maps `{name}.tokens.npy` and `{name}.offsets.npy` of a folder into memory."""
        arrays = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("tokens", "offsets"))
        return cls(*(array.view(np.ndarray) for array in arrays))


class TokenWriter:
    """Writes the two arrays of a `TokenArrays` sentence by sentence, in memory that does not grow with the tokens."""

    def __init__(self, folder: Path, name: str, vocab_size: int):
        """Starts the files; ids must be smaller than `vocab_size`."""
        self._dtype = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.int32)
        self._file = (folder / f"{name}.tokens.npy").open("wb")
        self._offsets_path = folder / f"{name}.offsets.npy"
        self._lengths: list[np.ndarray] = []
        self._total = 0
        self._write_header()

    def _write_header(self) -> None:
        # numpy pads the header so that it can be written again when the first axis has grown.
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._total,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def extend(self, sentences: Iterable[Sequence[int]]) -> None:
        """Adds sentences, given without end mark."""
        ended = [[*sentence, EOS_ID] for sentence in sentences]
        lengths = np.array([len(sentence) for sentence in ended], dtype=np.int64)
        tokens = np.fromiter((token for sentence in ended for token in sentence), self._dtype, int(lengths.sum()))
        self._file.write(tokens.tobytes())
        self._lengths.append(lengths)
        self._total += len(tokens)

    def append(self, tokens: Integer[np.ndarray, " length"], *, end_mark: int | None) -> None:
        """Adds one text as it is, or with an end mark."""
        ids = np.append(tokens, [] if end_mark is None else end_mark).astype(self._dtype)
        self._file.write(ids.tobytes())
        self._lengths.append(np.array([len(ids)], np.int64))
        self._total += len(ids)

    @property
    def total(self) -> int:
        """Tokens written so far, end marks included."""
        return self._total

    def close(self) -> None:
        """Finishes both files."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        np.save(self._offsets_path, np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._lengths])))
