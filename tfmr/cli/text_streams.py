"""Lines of text from files or standard input."""

import collections
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tfmr.data.corpora.lines import decode_lines, missing_file, read_lines, read_pairs, read_tsv, split_tsv
from tfmr.errors import InputError

T = TypeVar("T")


def input_lines(path: str) -> Iterator[str]:
    """Returns the lines of a file, plain or gzip, or of standard input if `path` is empty.

    Raises:
      InputError: if there is no such file, or a line is not UTF-8. Files are checked before the first line is returned,
        standard input and pipes line by line.
    """
    if not path:
        return decode_lines(sys.stdin.buffer, "standard input")
    return _checked(lambda: read_lines(Path(path)), path)


def input_pairs(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Returns pairs of lines: of two files, of a TSV file without `target`, or of standard input without `source`.

    Raises:
      InputError: as `input_lines`, if the files differ in length, or a line of a TSV does not have two fields.
    """
    if target and not source:
        raise InputError(f"--target = {target!r}: requires --source")
    if not source:
        return split_tsv(input_lines(""), "standard input")
    if not target:
        return _checked(lambda: read_tsv(Path(source)), source)
    return _checked(lambda: read_pairs(Path(source), Path(target)), source, target)


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
