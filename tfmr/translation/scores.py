"""Scores of translations and their model: BLEU, chrF, loss, perplexity."""

import dataclasses
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tfmr.errors import InputError
from tfmr.training.evaluation import Batch, mean_loss, perplexity
from tfmr.translation.bleu_tokenizers import bleu_metric
from tfmr.translation.translator import Translator


@dataclasses.dataclass(frozen=True)
class Scores:
    """The result of an evaluation; `dataclasses.asdict` converts it to JSON values."""

    bleu: float
    """Corpus BLEU of sacreBLEU, 0 to 100."""
    chrf: float
    """Corpus chrF2 of sacreBLEU, 0 to 100."""
    loss: float
    """Mean negative log-likelihood per target token in nats, including EOS, without label smoothing."""
    perplexity: float
    """exp(loss)."""
    signature: str
    """sacreBLEU's signature of BLEU and chrF, including its version."""
    sentences: int
    """Number of translated sentences."""


def evaluate(
    translator: Translator,
    sources: Sequence[str],
    references: Sequence[str],
    batches: Iterable[Batch],
    tokenize: str = "13a",
    translations: Sequence[str] | None = None,
) -> Scores:
    """Translates lines, unless their translations are given, and scores them against references, one for each line.

    The loss is that of the references; `batches` are the same pairs as batches of token ids.

    Raises:
      InputError: if there are no sentences, the numbers of sources and references differ, or sacreBLEU cannot load the
        tokenizer.
    """
    _require_pairs(sources, references)
    translations = translator.translate(sources) if translations is None else translations
    text_scores = corpus_scores(translations, references, tokenize)
    loss = mean_loss(translator.model, translator.params, batches)
    return Scores(loss=loss, perplexity=perplexity(loss), sentences=len(references), **text_scores)


def corpus_scores(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "13a") -> dict[str, Any]:
    """Returns sacreBLEU's corpus `bleu` and `chrf` (0 to 100) and their `signature`.

    Texts that differ in their Unicode normal form only are equal: all are compared in NFC.

    Raises:
      InputError: if there are no sentences, the numbers of hypotheses and references differ, or sacreBLEU cannot load
        the tokenizer.
    """
    from sacrebleu.metrics.chrf import CHRF

    _require_pairs(hypotheses, references)
    metrics: dict[str, Any] = {"bleu": bleu_metric(tokenize), "chrf": CHRF()}
    hypotheses, references = (
        [unicodedata.normalize("NFC", line) for line in side] for side in (hypotheses, references)
    )
    results = {name: metric.corpus_score(hypotheses, [references]) for name, metric in metrics.items()}
    signature = " ".join(f"{results[name].name}|{metric.get_signature()}" for name, metric in metrics.items())
    return {**{name: result.score for name, result in results.items()}, "signature": signature}


def _require_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise InputError(f"{len(hypotheses)} sentences but {len(references)} references; the numbers must be equal")
    if not references:
        raise InputError("there are no sentences to evaluate")
