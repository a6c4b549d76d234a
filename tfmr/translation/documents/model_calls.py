"""What a document asks of a model, apart from when and how the model is run.

The translation of a document is a generator that yields calls and is sent their results. A program that does nothing
else makes them at once; a server puts them together with those of other clients.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple

from tfmr.translation.alignment import Alignment
from tfmr.translation.translator import Translator


class Translate(NamedTuple):
    """Asks for the translations of sentences."""

    texts: list[str]
    lines: list[int]
    """The line of the document on which each sentence begins."""

    def result(self, translator: Translator) -> list[str]:
        """Returns the translations."""
        return translator.with_line_numbers(self.lines).translate(self.texts)


class Align(NamedTuple):
    """Asks for the alignments of sentences with their translations."""

    sources: list[str]
    targets: list[str]

    def result(self, translator: Translator) -> list[Alignment]:
        """Returns the alignments."""
        return translator.align(self.sources, self.targets)


Call = Translate | Align
Results = Sequence[str] | Sequence[Alignment]
Steps = Generator[Call, Results, str]
"""Yields calls, is sent the results of each, and returns the translated document."""


def next_call(steps: Steps, results: Results | None = None) -> Call | str:
    """Sends the results of the last call, and returns the next one, or the document if there is none."""
    try:
        return next(steps) if results is None else steps.send(results)
    except StopIteration as end:
        return end.value
