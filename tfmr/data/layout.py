"""Parts of token arrays, laid one after another into the rows of a batch."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

Arrays = dict[str, Int[np.ndarray, "rows length"]]


class Layout(NamedTuple):
    """Where each token of some parts comes from and where it goes, part after part."""

    place: tuple[Int[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]
    """Row, and place in the row."""
    source: Int[np.ndarray, " tokens"]
    """Number in the token array."""
    segment: Int[np.ndarray, " tokens"]
    """Number of its part in the row, from 1."""
    position: Int[np.ndarray, " tokens"]
    """Number in its part, from 0."""

    def fill(self, shape: tuple[int, int], values: Integer[np.ndarray, " tokens"], rest: int = 0) -> np.ndarray:
        """Returns int32 rows in which the tokens' places hold the values, and all others `rest`."""
        rows = np.full(shape, rest, np.int32)
        rows[self.place] = values
        return rows


def lay_out(
    starts: Int[np.ndarray, " parts"], lengths: Int[np.ndarray, " parts"], row_of: Int[np.ndarray, " parts"]
) -> Layout:
    """Lays parts one after another into their rows.

    Args:
      starts: where each part begins in the token array.
      lengths: its tokens.
      row_of: its row; ascending.
    """
    begin = np.cumsum(lengths) - lengths  # of each part, if all stood in one line
    number = np.arange(len(starts))
    first_of_row = np.searchsorted(row_of, row_of)
    position = np.arange(lengths.sum()) - np.repeat(begin, lengths)
    return Layout(
        place=(np.repeat(row_of, lengths), np.repeat(begin - begin[first_of_row], lengths) + position),
        source=np.repeat(starts, lengths) + position,
        segment=np.repeat(number - first_of_row + 1, lengths),
        position=position,
    )
