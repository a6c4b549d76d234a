"""Sentences of any length into batches of few different shapes, so that compiling stops after a few."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

_FULL_WIDTH = 128
"""Tokens in a sentence up to which a batch has all its rows: of longer ones it has fewer, for the memory's sake."""


class PaddedBatch(NamedTuple):
    """Sentences of one batch and the shape that holds them; rows beyond `indices` are padding."""

    indices: list[int]
    """Where each sentence stands among all, longest first."""
    rows: int
    width: int


def make_padded_batches(
    lengths: Mapping[int, int], batch_size: int, longest: int | None = None, parts: int = 1
) -> Iterator[PaddedBatch]:
    """Cuts sentences, longest first, into batches.

    Args:
      lengths: of each sentence, by its index.
      batch_size: the most rows of a batch.
      longest: no batch is wider than this; None: any width.
      parts: the rows of each batch are rounded up to a multiple of this.
    """
    order = sorted(lengths, key=lambda index: -lengths[index])
    # A handful of sentences does not pay for a whole batch.
    most_rows = min(batch_size, next_power_of_two(len(order)))
    start = 0
    while start < len(order):
        width = padded_width(lengths[order[start]])
        width = width if longest is None else min(width, longest)
        rows = max(1, min(most_rows, batch_size * _FULL_WIDTH // width))
        rows = -(-rows // parts) * parts
        yield PaddedBatch(order[start : start + rows], rows, width)
        start += rows


def padded_width(length: int) -> int:
    """Returns the smallest of 16, 24, 32, 48, 64, 96, ... that holds so many tokens."""
    power = next_power_of_two(length)
    return max(16, power * 3 // 4 if length <= power * 3 // 4 else power)


def next_power_of_two(number: int) -> int:
    """Returns the smallest power of two that is at least so much."""
    return 1 << max(number - 1, 0).bit_length()
