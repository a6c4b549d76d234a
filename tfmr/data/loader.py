"""Reads the batches of a plan from any position on, and prepares items ahead in a thread."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from tfmr.data.batching import BatchPlan

T = TypeVar("T")


class Cursor(NamedTuple):
    """A position in the data: the next batch to read."""

    epoch: int = 0
    batch: int = 0


def batches_from(plan: BatchPlan, cursor: Cursor) -> Iterator[tuple[Any, Cursor]]:
    """Yields the batches from a cursor on, epoch after epoch without end, each with the cursor after it."""
    epoch, first = cursor
    while True:
        batches = plan.epoch(epoch)
        for number in range(first, len(batches)):
            last = number + 1 == len(batches)
            yield batches[number], Cursor(epoch + 1, 0) if last else Cursor(epoch, number + 1)
        epoch, first = epoch + 1, 0


def prefetch(items: Iterator[T], size: int = 4) -> Generator[T, None, None]:
    """Yields the same items; a thread prepares up to `size` of them ahead. Its exceptions are raised here."""
    end: Any = object()
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        ahead = deque(pool.submit(next, items, end) for _ in range(size + 1))  # one of them is in preparation
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(next, items, end))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
