"""Rescoring: the translations that a search finds, ranked with the help of another model."""

import dataclasses
import itertools
import math
import os
from collections.abc import Iterator

from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.translation.choice import Choice
from tfmr.translation.hypotheses import Hypothesis
from tfmr.translation.translator import Translator


class Rescored(Choice):
    """Ranks the whole beam of a translator by the mean of its score and that of another model.

    Both scores are log-probabilities, divided by the translator's length penalty. The other model may have another
    tokenizer, and write from right to left. Where it cannot score a candidate because the line is too long for it, the
    order does not change, and a warning is logged.
    """

    def __init__(self, translator: Translator, rescorer: Translator, weight: float = 0.5):
        """Takes a translator and another one.

        Args:
          translator: finds the candidates, as many as its beam has.
          rescorer: scores them.
          weight: the share of the rescorer's score in the mean, from 0 to 1.

        Raises:
          InputError: if the weight is not from 0 to 1.
        """
        check_weight(weight)
        super().__init__(translator, translator.config.beam_size)
        self._rescorer = rescorer
        self._weight = weight

    @classmethod
    def by_run(cls, translator: Translator, run: str | os.PathLike | RunDirectory, weight: float = 0.5) -> "Rescored":
        """Loads the rescorer of a run directory.

        If it has many languages, it scores translations between those of the translator, or else its own.

        Raises:
          InputError: as `Translator.from_run`, or if it does not have such a language.
        """
        directory = RunDirectory.open(run)
        penalty = {name: getattr(translator.config, name) for name in ("length_penalty", "alpha")}
        config = dataclasses.replace(directory.config.decoding, coverage_penalty=0.0, **penalty)
        rescorer, tags = Translator.from_run(directory, config=config), translator.tokenizer.tags
        if rescorer.tokenizer.tags.languages:
            rescorer = rescorer.with_languages(tags.source, tags.target)
            rescorer.tokenizer.tags.check()
        return cls(translator, rescorer, weight)

    def _ranked(self, found: Iterator[tuple[str, list[Hypothesis]]]) -> Iterator[list[Hypothesis]]:
        found, again = itertools.tee(found)
        pairs = ((line, hypothesis.text) for line, hypotheses in again for hypothesis in hypotheses)
        scores = (score.score for score in self._rescorer.score_stream(pairs))
        for _, hypotheses in found:
            yield self._by_mean(hypotheses, list(itertools.islice(scores, len(hypotheses))))

    def _by_mean(self, hypotheses: list[Hypothesis], scores: list[float]) -> list[Hypothesis]:
        if any(map(math.isnan, scores)):
            return hypotheses
        means = [
            (1 - self._weight) * hypothesis.score + self._weight * score
            for hypothesis, score in zip(hypotheses, scores, strict=True)
        ]
        ranked = [hypothesis._replace(score=mean) for hypothesis, mean in zip(hypotheses, means, strict=True)]
        return sorted(ranked, key=lambda hypothesis: -hypothesis.score)


def check_weight(weight: float) -> None:
    """Raises InputError if the weight of a rescorer is not from 0 to 1."""
    if not 0 <= weight <= 1:
        raise InputError(f"--rescore-weight = {weight}: must be from 0 to 1")
