"""The report on a running text."""

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from tfmr.data.blank import is_blank
from tfmr.data.chunks import in_chunks
from tfmr.data.corpora.lines import read_text
from tfmr.data.line_checks import LINE_CHECKS, letters_not_of, main_script, scripts_of
from tfmr.data.progress import counted
from tfmr.data.report import (
    Findings,
    Hashes,
    Histogram,
    Report,
    count,
    hashes_of,
    occurred_before,
    quantiles,
)

_LONG = 100_000
"""Number of characters of a line that is called too long; what follows is neither checked nor counted."""
_COMPARED = 30
"""Shorter lines are not compared, because they are repeated with good reason."""


def report_on_text(
    files: Sequence[Path], validation_files: Sequence[Path], document_lengths: Int[np.ndarray, " documents"]
) -> Report:
    """Returns the report on all lines of some files, which include the text that is held out from them.

    Args:
      files: the files.
      validation_files: the files of the validation text, if it is not held out.
      document_lengths: number of tokens of each training document, or part of one.
    """
    lines, found, hashes = _NumberedLines(files), Findings(), Hashes()
    script = main_script(line for _, line in itertools.islice(lines, 10_000))
    characters, words = Counter(), Counter()
    total = 0
    items = counted(lines, "Checking", "lines")
    for chunk in in_chunks(items, lambda item: len(item[1])):
        total += len(chunk)
        chunk = [(number, line) for number, line in chunk if not is_blank(line)]
        for what, check in LINE_CHECKS.items():
            found.add(what, (number for number, line in chunk if check(line)))
        what = letters_not_of(script)
        found.add(what, (number for number, line in chunk if scripts_of(line) - {script}))
        found.add(f"{_LONG:,} characters or more", (number for number, line in chunk if len(line) >= _LONG))
        compared = [(number, line) for number, line in chunk if len(line) >= _COMPARED]
        keys = hashes_of(line for _, line in compared)
        hashes.add(keys, keys, [number for number, _ in compared])
        characters.update(len(line) for _, line in chunk)
        words.update(len(line.split()) for _, line in chunk)
    values, _, numbers = hashes.all()
    found.add("identical to an earlier line", numbers[occurred_before(values)].tolist(), hashes.share)
    if validation_files:
        others = (line for _, line in _NumberedLines(validation_files) if len(line) >= _COMPARED)
        same = np.isin(values, np.array(hashes_of(others), np.uint64))
        found.add("identical to a line in validation_files", numbers[same].tolist(), hashes.share)
    lengths = {"characters per line": quantiles(characters), "words per line": quantiles(words)}
    lengths["tokens per training document"] = quantiles(count(document_lengths))
    notes = [
        f"Blank lines are counted, but not measured. Lines of fewer than {_COMPARED} characters are not compared with "
        f"others. Only the first {_LONG:,} characters of a line are checked and counted. No check depends on the "
        "language."
    ]
    findings = found.with_examples(((number, (line,)) for number, line in lines), lines.place)
    histograms = [_histogram("characters per line", characters), _histogram("words per line", words)]
    name = files[0].name if len(files) == 1 else f"{len(files)} files"
    return Report(f"The text of {name}", "lines", total, lengths, findings, notes, histograms)


def _histogram(title: str, counts: Counter[int]) -> Histogram:
    values = np.array(sorted(counts) or [0])
    times = np.array([counts[value] for value in values.tolist()])
    end = int(values[np.searchsorted(np.cumsum(times), 0.99 * times.sum())])
    edges = np.linspace(0, end + 1, min(end + 1, 60) + 1)
    return Histogram(title, edges, {"lines": np.histogram(values, edges, weights=times)[0].astype(int)}, {})


class _NumberedLines:
    """The lines of several files, numbered from 1 through all of them."""

    def __init__(self, files: Sequence[Path]):
        self._files, self._before = files, [0]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number, self._before = 0, []
        for path in self._files:
            self._before.append(number)
            for line in _lines(read_text(path)):
                number += 1
                yield number, line

    def place(self, number: int) -> str:
        """Returns the file and the line; the line must have been read."""
        file = bisect.bisect_left(self._before, number) - 1
        return f"line {number - self._before[file]:,} of {self._files[file]}"


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Yields the lines of a text that is read in parts, each cut after `_LONG` characters."""
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield from (line[:_LONG] for line in lines)
        rest = rest[:_LONG]
    if rest:
        yield rest
