"""How good translations and a model's probabilities are: BLEU, chrF, loss, perplexity."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tfmr.config import PairsConfig
from tfmr.errors import InputError
from tfmr.training.evaluation import Batch, evaluate_loss, negative_log_likelihood, perplexity
from tfmr.translation.translator import Translator

Tokenize = Literal["13a", "none", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""How sacrebleu cuts text into words: 13a for text as written, none for text that is tokenised already."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """What an evaluation found; `dataclasses.asdict` gives its JSON."""

    bleu: float
    """sacreBLEU's corpus BLEU, 0 to 100."""
    chrf: float
    """sacreBLEU's corpus chrF2, 0 to 100."""
    loss: float
    """Mean negative log-likelihood of a target token in nats, EOS included, without label smoothing."""
    perplexity: float
    """exp(loss)."""
    signature: str
    """How sacreBLEU computed BLEU and chrF, its version included."""
    sentences: int
    """Number of sentences that were translated."""


def evaluate(
    translator: Translator,
    sources: Sequence[str],
    references: Sequence[str],
    batches: Iterable[Batch],
    tokenize: Tokenize = "13a",
) -> Scores:
    """Translates the sources and scores them against the references; `batches` are the same pairs as tokens.

    Raises:
      InputError: if there are no sentences, or not as many sources as references.
    """
    _require_pairs(sources, references)
    return score_translations(translator, translator.translate(sources), references, batches, tokenize)


def score_translations(
    translator: Translator,
    translations: Sequence[str],
    references: Sequence[str],
    batches: Iterable[Batch],
    tokenize: Tokenize = "13a",
) -> Scores:
    """Scores translations that a translator made before; otherwise as `evaluate`."""
    text_scores = corpus_scores(translations, references, tokenize)
    loss = evaluate_loss(functools.partial(negative_log_likelihood, translator.model, translator.params), batches)
    return Scores(loss=loss, perplexity=perplexity(loss), sentences=len(references), **text_scores)


def corpus_scores(hypotheses: Sequence[str], references: Sequence[str], tokenize: Tokenize = "13a") -> dict[str, Any]:
    """Returns sacreBLEU's corpus `bleu` and `chrf` (0 to 100), and the `signature` of how it computed them.

    Raises:
      InputError: if there are no sentences, or not as many hypotheses as references.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    _require_pairs(hypotheses, references)
    metrics: dict[str, Any] = {
        # force: sacreBLEU warns of tokenised text, which with tokenize none is meant.
        "bleu": BLEU(tokenize=tokenize, force=tokenize == "none"),
        "chrf": CHRF(),
    }
    results = {name: metric.corpus_score(hypotheses, [references]) for name, metric in metrics.items()}
    signature = " ".join(f"{results[name].name}|{metric.get_signature()}" for name, metric in metrics.items())
    return {**{name: result.score for name, result in results.items()}, "signature": signature}


def _require_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise InputError(f"{len(hypotheses)} sentences against {len(references)} references: must be as many")
    if not references:
        raise InputError("0 sentences: nothing to evaluate")


def scoring_tokenizer(config: PairsConfig) -> Tokenize:
    """Returns the sacreBLEU tokenizer for a corpus: none if its text is tokenised already."""
    return "none" if config.is_tokenised else "13a"
