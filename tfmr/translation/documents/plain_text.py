"""Plain text: each line is a paragraph."""

import re
from collections.abc import Iterator

from tfmr.translation.documents.pieces import Segment, make_segments
from tfmr.translation.documents.protected import split_tags

_ITEM = re.compile(r"\s*(?:(?:[-*+\u2022\u00b7\u2013\u2014]|\d+[.)])\s+)?")  # the bullet or number of an item


def text_segments(text: str) -> Iterator[Segment]:
    """Yields a segment for each line that has letters."""
    start = 0
    runs = []
    for line in text.splitlines(keepends=True):
        item = _ITEM.match(line)
        begin = item.end() if item else 0
        runs.append(list(split_tags(line[begin:].rstrip("\r\n"), start + begin)))
        start += len(line)
    return make_segments(runs, as_it_is)


def text_structure(text: str) -> Iterator[tuple[int, str]]:
    """Yields the position of each line."""
    start = 0
    for line in text.splitlines(keepends=True):
        yield start, "line"
        start += len(line)


def as_it_is(text: str, begins_line: bool) -> str:
    """Returns the text: this format has no escapes."""
    return text
