"""Where a command's lines come from and where they go: files, or standard input and output."""

import collections
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from tfmr.data.corpora.lines import decode_lines, missing_file, read_lines, read_pairs, read_tsv, split_tsv
from tfmr.errors import InputError

T = TypeVar("T")


def input_lines(path: str) -> Iterator[str]:
    """Returns the lines of a file, plain or gzip, or of standard input where `path` is empty.

    Raises:
      InputError: if there is no such file, or a line is not UTF-8. Of a file this is found before the first line is
        used, of standard input and other streams when the line is reached.
    """
    if not path:
        return decode_lines(sys.stdin.buffer, "standard input")
    return _checked(lambda: read_lines(Path(path)), path)


def input_pairs(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Returns the pairs of two files line by line; without `target` of a TSV, without `source` of standard input.

    Raises:
      InputError: as `input_lines`, and if one file has more lines, or a line of a TSV is not two fields.
    """
    if target and not source:
        raise InputError("--target: give --source with it")
    if not source:
        return split_tsv(input_lines(""), "standard input")
    if not target:
        return _checked(lambda: read_tsv(Path(source)), source)
    return _checked(lambda: read_pairs(Path(source), Path(target)), source, target)


def _checked(read: Callable[[], Iterator[T]], *paths: str) -> Iterator[T]:
    """Returns what `read` gives, after all of it was read once: a mistake is told before any work."""
    for path in paths:
        if not Path(path).exists():
            raise missing_file(Path(path))
    if all(Path(path).is_file() for path in paths):  # a pipe can be read but once
        collections.deque(read(), maxlen=0)
    return read()


@contextlib.contextmanager
def output_file(path: str, *inputs: str) -> Iterator[BinaryIO]:
    """Opens a file to write to, or standard output where `path` is empty.

    Raises:
      InputError: if the file cannot be written, or is one of the inputs.
    """
    if not path:
        yield sys.stdout.buffer
        return
    for other in filter(None, inputs):
        if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
            raise InputError(f"--output = {path!r}: is what is read; give another file")
    try:
        file = Path(path).open("wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"--output = {path!r}: cannot be written ({error.strerror})") from None
    with file:
        yield file
