"""Reads the batches of a plan from any position on, and prepares items ahead in a thread."""

import queue
import threading
from collections.abc import Generator, Iterator
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
    buffer: queue.Queue = queue.Queue(maxsize=size)
    stop = threading.Event()
    end = object()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                buffer.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((end, None))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = buffer.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()
