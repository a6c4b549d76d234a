"""Translators that choose among the candidates of another one."""

import abc
import itertools
from collections.abc import Iterable, Iterator

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.translation.hypotheses import Hypothesis
from tfmr.translation.translator import Translator


class Choice(abc.ABC):
    """Ranks the candidates of a translator anew. Its methods are those of `Translator` with the same names.

    Attributes:
      translator: the translator.
      candidates: the number of candidates for each line.
    """

    def __init__(self, translator: Translator, candidates: int):
        """Takes the attributes."""
        self.translator = translator
        self.candidates = candidates

    @abc.abstractmethod
    def _ranked(self, found: Iterator[tuple[str, list[Hypothesis]]]) -> Iterator[list[Hypothesis]]:
        """Yields the candidates of each line, best first, with the scores by which they are ranked."""

    @property
    def config(self) -> DecodingConfig:
        """How the translator searches for candidates."""
        return self.translator.config

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the translator."""
        return self.translator.tokenizer

    @property
    def window(self) -> int:
        """The number of lines that are read ahead."""
        return self.translator.window

    def translate(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> list[str]:
        """Returns the translation of each line; see `Translator.translate`."""
        return list(self.translate_stream(lines, prefixes))

    def translate_stream(self, lines: Iterable[str], prefixes: Iterable[str] | None = None) -> Iterator[str]:
        """Yields the translation of each line in order."""
        for hypotheses in self.n_best_stream(lines, 1, prefixes):
            yield hypotheses[0].text if hypotheses else ""

    def n_best(
        self, lines: Iterable[str], number: int, prefixes: Iterable[str] | None = None, *, distinct: bool = True
    ) -> list[list[Hypothesis]]:
        """Returns several translations of each line, best first; see `n_best_stream`."""
        return list(self.n_best_stream(lines, number, prefixes, distinct=distinct))

    def n_best_stream(
        self,
        lines: Iterable[str],
        number: int,
        prefixes: Iterable[str] | None = None,
        *,
        distinct: bool = True,
        first: int = 1,
    ) -> Iterator[list[Hypothesis]]:
        """Yields several translations of each line in order, best first; see `Translator.n_best_stream`.

        Raises:
          InputError: as `Translator.n_best_stream`, or if `number` exceeds the number of candidates.
        """
        if number > self.candidates:
            raise InputError(
                f"{number} translations of each line: must be at most {self.candidates}, the number of candidates"
            )
        lines, sources = itertools.tee(lines)
        found = self.translator.n_best_stream(lines, self.candidates, prefixes, distinct=distinct, first=first)
        for hypotheses in self._ranked(zip(sources, found, strict=True)):
            yield hypotheses[:number]
