"""Lines of text from files or standard input."""

import collections
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tfmr.data.corpora.lines import decode_lines, missing_file, read_lines, read_pairs, read_tsv, split_tsv
from tfmr.errors import InputError

T = TypeVar("T")

_PAUSE = 0.02  # seconds without input after which pending lines are processed
_PART = 1 << 16  # bytes to read at a time


def lines_of(raw_lines: Iterable[bytes]) -> Iterator[str]:
    """Returns the lines of standard input; see `arriving`."""
    return decode_lines(raw_lines, "standard input")


def pairs_of(raw_lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Returns the pairs of a TSV on standard input; see `arriving`."""
    return split_tsv(lines_of(raw_lines), "standard input")


def input_lines(path: str) -> Iterator[str]:
    """Returns the lines of a file, plain or compressed.

    Raises:
      InputError: if there is no such file, or a line is not UTF-8. Files are checked before the first line is returned,
        pipes line by line.
    """
    return _checked(lambda: read_lines(Path(path)), path)


def input_pairs(source: str, target: str) -> Iterator[tuple[str, str]] | None:
    """Returns pairs of lines, of two files or of a TSV file without `target`; None for standard input.

    Raises:
      InputError: as `input_lines`, if the files differ in length, or a line of a TSV does not have two fields.
    """
    if target and not source:
        raise InputError(f"--target = {target!r}: requires --source")
    if not source:
        return None
    if not target:
        return _checked(lambda: read_tsv(Path(source)), source)
    return _checked(lambda: read_pairs(Path(source), Path(target)), source, target)


def arriving(
    parse: Callable[[Iterable[bytes]], Iterator[T]], size: int, *, at_once: bool = False
) -> Iterator[tuple[int, list[T]]]:
    """Yields items from standard input in groups, so that a program that writes lines and waits gets an answer.

    A group ends when the input pauses or ends, or when it has `size` items. It comes with the number of its first
    line.

    Args:
      parse: turns raw lines into items, one for each line: `lines_of` or `pairs_of`.
      size: the maximum number of items of a group.
      at_once: make each line a group.

    Raises:
      InputError: from `parse`, after the items before the invalid line have been yielded.
    """
    raw: collections.deque[bytes] = collections.deque()
    items = parse(iter(raw.popleft, None))
    first = 1
    for lines in _arriving_lines(1 if at_once else size):
        raw.extend(lines)
        group: list[T] = []
        try:
            group.extend(next(items) for _ in lines)
        except InputError:
            yield first, group
            raise
        yield first, group
        first += len(group)


def _arriving_lines(size: int) -> Iterator[list[bytes]]:
    read, wait = _standard_input()
    lines: list[bytes] = []
    begun: list[bytes] = []  # the parts of a line whose end has not arrived
    while True:
        if lines and not wait():
            yield lines
            lines = []
        part = read()
        if not part:
            break
        ended, line_feed, rest = part.rpartition(b"\n")
        if line_feed:
            lines += (b"".join(begun) + ended).split(b"\n")
            begun = []
        begun.append(rest)
        while len(lines) >= size:
            yield lines[:size]
            lines = lines[size:]
    last = b"".join(begun)
    if lines or last:
        yield lines + [last] * bool(last)


def _standard_input() -> tuple[Callable[[], bytes], Callable[[], bool]]:
    """Returns a function that reads what has arrived, and one that returns whether more arrives after a short wait."""
    try:
        file = sys.stdin.fileno()
    except OSError:  # a stream in memory
        return (lambda: sys.stdin.buffer.read(_PART)), (lambda: True)

    def wait() -> bool:
        try:
            return bool(select.select([file], [], [], _PAUSE)[0])
        except (OSError, ValueError):  # Windows waits for sockets only
            return True

    return (lambda: os.read(file, _PART)), wait


def _checked(read: Callable[[], Iterator[T]], *paths: str) -> Iterator[T]:
    """Returns the items of `read`, after reading them all once to report mistakes before any work."""
    for path in paths:
        if not Path(path).exists():
            raise missing_file(Path(path))
    if all(Path(path).is_file() for path in paths):  # a pipe can only be read once
        collections.deque(read(), maxlen=0)
    return read()


def with_progress(items: Iterable[T], what: str, path: str) -> Iterator[T]:
    """Yields items, one for each line of a file. On a terminal, a bar shows their number and the time left."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    # A pipe can only be read once, so its number of lines is unknown.
    total = sum(1 for _ in read_lines(Path(path))) if path and Path(path).is_file() else None
    yield from track(items, description=what, total=total, console=Console(stderr=True), transient=True)
