"""One progress bar on the terminal; nothing in a log."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def shown(items: Iterable[T], what: str, path: str) -> Iterator[T]:
    """Yields items, one for each line of a file; a bar on a terminal shows how many there were and the time left."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=what, total=_line_count(path), console=Console(stderr=True), transient=True)


def _line_count(path: str) -> int | None:
    """Returns how many lines a file has; None where it can be read but once, or there is none."""
    if not path or not Path(path).is_file():
        return None
    from tfmr.data.corpora.lines import read_lines

    return sum(1 for _ in read_lines(Path(path)))
