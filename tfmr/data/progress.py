"""Progress of long data processing: an updating line on a terminal, or a line every 30 s in a log."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

log = logging.getLogger("tfmr")

T = TypeVar("T")

_EVERY = 30.0  # seconds between two lines in a log
_EVERY_ON_TERMINAL = 0.5


def reported(items: Iterable[tuple[int, T]], stage: str, unit: str, total: int, done: int = 0) -> Iterator[T]:
    """Yields the second element of each pair, and reports the sum of the first elements.

    Args:
      items: how many units an item has, and the item.
      stage: what is being done, such as "Encoding train".
      unit: what is counted, such as "pairs".
      total: the number of units of all items. 0: unknown.
      done: the number of units that were done before.
    """
    every = _interval()
    start = last = time.monotonic()
    before = done
    for number, item in items:
        yield item
        done += number
        now = time.monotonic()
        if now - last >= every:
            last = now
            _show(_described(stage, unit, done, total, (done - before) / max(now - start, 1e-9)))
    if last > start:
        _clear()


def counted(items: Iterable[T], stage: str, unit: str, total: int = 0) -> Iterator[T]:
    """Yields items, and reports their number as `reported` does."""
    return reported(((1, item) for item in items), stage, unit, total)


@contextlib.contextmanager
def timed(stage: str) -> Iterator[None]:
    """Reports how long its context has been running, for work whose progress is not known."""
    start, every, ended = time.monotonic(), _interval(), threading.Event()

    def report() -> None:
        while not ended.wait(every):
            _show(f"{stage}: {_clock(time.monotonic() - start)} so far")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _clear()


def _interval() -> float:
    return _EVERY_ON_TERMINAL if sys.stderr.isatty() else _EVERY


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
    else:
        log.info("%s", text)


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _described(stage: str, unit: str, done: int, total: int, rate: float) -> str:
    text = f"{stage}: {done:,} {unit}, {rate:,.0f} {unit}/s"
    if not total:
        return text
    return f"{text}, {done / total:.0%}, {_clock(max(total - done, 0) / max(rate, 1e-9))} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
