"""The report of `tfmr prepare --report`: what a corpus consists of, and what may be wrong with it.

Lines are compared by their hashes, of which a bounded number is kept. Memory therefore does not grow with the text,
except for the lengths of pairs and documents in tokens, which are in memory for training as well.
"""

import itertools
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from tfmr.data.corpora.corpus import hash_of_text

MAX_COMPARED = 10_000_000
"""The maximum number of lines or pairs that are compared to find duplicates. Of more, a share is compared, which their
content determines, and the number of duplicates is estimated."""

_EXAMPLES = 5
_LONGEST_EXAMPLE = 300  # characters


@dataclass
class Finding:
    """Something that was looked for."""

    what: str
    count: int = 0
    """The number of lines or pairs."""
    estimated: bool = False
    """Whether the number is estimated from a share of them."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """The place and the text of the first ones."""


class Histogram(NamedTuple):
    """Counts to draw."""

    title: str
    edges: Float[np.ndarray, " bins_and_1"]
    counts: dict[str, Int[np.ndarray, " bins"]]
    """The counts by the name of what is counted."""
    marks: dict[str, float]
    """Values to mark, by name."""


@dataclass
class Report:
    """What was found in a corpus."""

    title: str
    unit: str
    """What is counted: pairs or lines."""
    total: int
    lengths: dict[str, dict[str, float]]
    """Quantiles, by what is measured."""
    findings: list[Finding]
    notes: list[str]
    """How this was found."""
    histograms: list[Histogram]

    def to_json(self) -> dict[str, Any]:
        """Returns everything except the histograms, as values that JSON can represent."""
        values = asdict(self)
        del values["histograms"]
        return values

    def to_text(self) -> str:
        """Returns the report for people."""
        lines = [f"{self.title}: {self.total:,} {self.unit}", ""]
        lines.append(f"{'':30}{'median':>10}{'95%':>10}{'99%':>10}{'longest':>12}")
        for name, values in self.lengths.items():
            lines.append(
                f"{name:30}" + "".join(f"{value:{12 if what == 'max' else 10},}" for what, value in values.items())
            )
        lines.append("")
        for finding in self.findings:
            if finding.count:
                count = f"{'about ' if finding.estimated else ''}{finding.count:,}"
                lines.append(f"{count:>14} ({finding.count / self.total:.2%})  {finding.what}")
                lines += [f"{'':16}{example['place']}: {_shown(example['text'])}" for example in finding.examples]
        missing = "; ".join(finding.what for finding in self.findings if not finding.count)
        paragraphs = [textwrap.fill(text, 100) for text in (f"Not found: {missing}.", *self.notes)]
        return "\n".join([*lines, "", *paragraphs])


def _shown(texts: tuple[str, ...]) -> str:
    """Returns the beginning of each text, with codes in place of invisible characters."""
    cut = (text if len(text) <= 100 else text[:99] + "…" for text in texts)
    return " ||| ".join("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) for text in cut)


class Findings:
    """Collects what is found, with the numbers of the first lines or pairs, in the order in which it is looked for."""

    def __init__(self):
        """Starts with nothing."""
        self._found: dict[str, Finding] = {}
        self._first: dict[str, list[int]] = {}

    def add(self, what: str, numbers: Iterable[int], share: float = 1.0) -> None:
        """Adds the numbers of lines or pairs, ascending, that were found in this share of all."""
        finding, first = self._found.setdefault(what, Finding(what)), self._first.setdefault(what, [])
        found = [*numbers]
        finding.count += round(len(found) / share)
        finding.estimated = share < 1.0
        first += found[: _EXAMPLES - len(first)]

    def with_examples(self, items: Iterator[tuple[int, tuple[str, ...]]], place: Callable[[int], str]) -> list[Finding]:
        """Returns all findings, after reading the numbered items again up to the last of the examples."""
        wanted = {*itertools.chain(*self._first.values())}
        last, texts = max(wanted, default=0), {}
        for number, text in itertools.takewhile(lambda item: item[0] <= last, items):
            if number in wanted:
                texts[number] = tuple(part[:_LONGEST_EXAMPLE] for part in text)
        for what, first in self._first.items():
            self._found[what].examples = [{"place": place(number), "text": texts[number]} for number in first]
        return [*self._found.values()]


class Hashes:
    """Hashes of lines or pairs in bounded memory: of all, or of a share that the hashes determine."""

    def __init__(self):
        """Starts with none."""
        self._chunks: list[UInt64[np.ndarray, "3 chunk"]] = []
        self.share = 1.0
        """The share that is kept."""

    def add(self, keys: list[int], values: list[int], numbers: list[int]) -> None:
        """Adds lines or pairs: the hash that determines whether one is kept, another hash, and its number."""
        self._chunks.append(self._kept(np.array([keys, values, numbers], np.uint64)))
        while sum(chunk.shape[1] for chunk in self._chunks) > MAX_COMPARED:
            self.share /= 2
            self._chunks = [self._kept(chunk) for chunk in self._chunks]

    def _kept(self, chunk: UInt64[np.ndarray, "3 chunk"]) -> UInt64[np.ndarray, "3 kept"]:
        return chunk[:, chunk[0] <= np.uint64(int(self.share * (1 << 64)) - 1)]

    def all(self) -> UInt64[np.ndarray, "3 kept"]:
        """Returns the keys, values and numbers that are kept, in the order in which they were added."""
        return np.concatenate([np.empty((3, 0), np.uint64), *self._chunks], axis=1)


def hashes_of(texts: Iterable[str]) -> list[int]:
    """Returns the hash of each text."""
    return [*map(hash_of_text, texts)]


def occurred_before(values: UInt64[np.ndarray, " values"]) -> Bool[np.ndarray, " values"]:
    """Returns which values are equal to an earlier one."""
    found = np.ones(len(values), bool)
    found[np.unique(values, return_index=True)[1]] = False
    return found


def quantiles(counts: Counter[Any]) -> dict[str, float]:
    """Returns the values that half, 95%, 99% and all of the values with these counts do not exceed."""
    values = sorted(counts) or [0]
    below = np.cumsum([counts[value] for value in values])
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: values[int(np.searchsorted(below, share * below[-1]))] for name, share in shares.items()}


def count(values: np.ndarray) -> Counter[Any]:
    """Returns how often each value occurs in an array."""
    return Counter(dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True)))
