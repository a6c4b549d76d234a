"""Minimum Bayes risk: the sample that is most like all the others (Kumar and Byrne 2004; Eikema and Aziz 2020)."""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from tfmr.config import DecodingConfig
from tfmr.errors import InputError
from tfmr.translation.bleu_tokenizers import bleu_metric
from tfmr.translation.choice import Choice
from tfmr.translation.hypotheses import Hypothesis
from tfmr.translation.translator import Translator

Metric = Literal["chrf", "bleu"]
_Utilities = Callable[[Sequence[str]], Float[np.ndarray, "texts texts"]]
"""Returns the score, 0 to 100, of each text (row) with each text as its reference (column)."""

_CHARACTERS = 6  # the longest n-grams of chrF
_BETA = 2  # chrF weighs recall by its square


class MinimumBayesRisk(Choice):
    """Draws samples of each translation and chooses the one with the highest expected score.

    The expectation is over the samples: each is scored with every sample as the reference. The score of a hypothesis is
    that expectation, 0 to 100. Hypotheses have different texts.
    """

    def __init__(self, translator: Translator, samples: int, metric: Metric = "chrf", tokenize: str = "13a"):
        """Prepares a translator to draw samples.

        Args:
          translator: the translator. Its temperature, or 1 if that is 0, and its seed determine the samples.
          samples: number of samples for each line.
          metric: sacreBLEU's chrF2, or its BLEU of a sentence.
          tokenize: for BLEU, the tokenizer of sacreBLEU.

        Raises:
          InputError: if the number is less than 2, or the search has options that sampling does not have.
        """
        super().__init__(translator.with_config(sampling_config(translator.config, samples)), samples)
        self._utilities: _Utilities = chrf_utilities
        if metric == "bleu":
            self._utilities = bleu_utilities(tokenize)

    def _ranked(self, found: Iterator[tuple[str, list[Hypothesis]]]) -> Iterator[list[Hypothesis]]:
        for _, samples in found:
            yield self._by_expected_score(samples)

    def _by_expected_score(self, samples: Sequence[Hypothesis]) -> list[Hypothesis]:
        counts = collections.Counter(sample.text for sample in samples)
        if not counts:
            return []
        tokens = {sample.text: sample.tokens for sample in samples}
        weights = np.array([*counts.values()]) / len(samples)
        expected = self._utilities([*counts]) @ weights
        found = [Hypothesis(text, float(score), tokens[text]) for text, score in zip(counts, expected, strict=True)]
        return sorted(found, key=lambda hypothesis: -hypothesis.score)  # equal ones in the order drawn


def sampling_config(config: DecodingConfig, samples: int) -> DecodingConfig:
    """Returns how to draw samples: at the temperature of a configuration, or else at 1.

    Raises:
      InputError: if the number is less than 2, or the configuration has options that sampling does not have.
    """
    if samples < 2:
        raise InputError(f"--mbr = {samples}: must be 2 or more samples")
    searched = [f"decoding.{name}" for name in ("coverage_penalty", "diversity", "required") if getattr(config, name)]
    if searched:
        raise InputError(f"--mbr = {samples}: draws samples, which cannot be combined with {', '.join(searched)}")
    sampling = dataclasses.replace(config.sampling, temperature=config.sampling.temperature or 1.0)
    # As many hypotheses at a time as in beam search. The samples do not depend on it.
    batch_size = max(1, config.batch_size * config.beam_size // samples)
    return dataclasses.replace(config, sampling=sampling, batch_size=batch_size)


def chrf_utilities(texts: Sequence[str]) -> Float[np.ndarray, "texts texts"]:
    """Returns the chrF2 of each text with each text as its reference, as sacreBLEU's `sentence_score` computes it.

    The n-grams of each text are counted once, where that function would count them for each pair of texts.
    """
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    ngrams = [extract_all_char_ngrams(text, _CHARACTERS, False) for text in texts]
    precision = recall = orders = np.zeros((len(texts), len(texts)))
    for counters in zip(*ngrams, strict=True):
        matches, totals = _matches(counters)
        used = (totals[:, None] > 0) & (totals > 0)
        precision = precision + np.where(used, matches / np.maximum(totals[:, None], 1), 0)
        recall = recall + np.where(used, matches / np.maximum(totals, 1), 0)
        orders = orders + used
    precision, recall = precision / np.maximum(orders, 1), recall / np.maximum(orders, 1)
    weighted = _BETA**2 * precision + recall
    return 100 * (1 + _BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1)


def _matches(
    counters: Sequence[collections.Counter],
) -> tuple[Float[np.ndarray, "texts texts"], Float[np.ndarray, " texts"]]:
    """Returns the number of n-grams that each two texts share, and the number of n-grams of each text."""
    columns = {ngram: column for column, ngram in enumerate(dict.fromkeys(ngram for one in counters for ngram in one))}
    counts = np.zeros((len(counters), len(columns)), np.float32)
    for row, counter in enumerate(counters):
        counts[row, [columns[ngram] for ngram in counter]] = [*counter.values()]
    shared = np.stack([np.minimum(row, counts).sum(axis=1) for row in counts])
    return shared.astype(np.float64), counts.sum(axis=1).astype(np.float64)


def bleu_utilities(tokenize: str) -> _Utilities:
    """Returns the function that computes sacreBLEU's BLEU of each text with each text as its reference."""
    metric = bleu_metric(tokenize, effective_order=True)  # n-grams longer than a sentence do not count

    def utilities(texts: Sequence[str]) -> Float[np.ndarray, "texts texts"]:
        scores = [[metric.sentence_score(text, [reference]).score for reference in texts] for text in texts]
        return np.array(scores)

    return utilities
