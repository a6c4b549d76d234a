"""Cuts a stream of text into lists of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_ITEMS = 10_000
_CHARACTERS = 4_000_000


def in_chunks(items: Iterable[T], characters: Callable[[T], int]) -> Iterator[list[T]]:
    """Yields lists of consecutive items, few enough to be in memory even if they are long.

    Args:
      items: lines or pairs.
      characters: returns the number of characters of an item.
    """
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += characters(item)
        if len(chunk) == _ITEMS or size >= _CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
