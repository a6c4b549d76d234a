"""How good translations and a model's probabilities are: BLEU, chrF, loss, perplexity."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from tfmr.config import CorpusConfig, DataConfig
from tfmr.decoding import Translator
from tfmr.errors import InputError
from tfmr.models import Model, log_probs_of

Batch = Mapping[str, ArrayLike]
"""int32 arrays: source, source_segments, source_positions, target_input, target_output, target_segments,
target_positions."""

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


def evaluate_loss(batch_sums: Callable[[Batch], tuple[ArrayLike, ArrayLike]], batches: Iterable[Batch]) -> float:
    """Returns the mean loss per token over all batches, summed in float64.

    Args:
      batch_sums: gives the sum of a batch's losses and the number of its tokens, such as
        `functools.partial(negative_log_likelihood, model, params)`.
      batches: padding counts for nothing, so batches of any size give the same result.

    Raises:
      InputError: if there are no tokens.
    """
    sums = [batch_sums(batch) for batch in batches]
    total = math.fsum(float(np.asarray(loss)) for loss, _ in sums)
    tokens = math.fsum(float(np.asarray(number)) for _, number in sums)
    if tokens == 0:
        raise InputError("0 target tokens: nothing to evaluate")
    return total / tokens


@functools.partial(jax.jit, static_argnames="model")
def negative_log_likelihood(model: Model, params: dict, batch: Batch) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Returns the summed negative log-likelihood of the target's tokens in nats, unsmoothed, and their number."""
    apply: Any = model.apply
    states, table = apply({"params": params}, *model.inputs_of(batch), method="states_and_output_table")
    targets = jnp.asarray(batch["target_output"])
    losses = -log_probs_of(states, table, targets)
    counted = (jnp.asarray(batch["target_segments"]) != 0) & (targets >= 0)  # the others are only looked at
    return jnp.where(counted, losses, 0.0).sum(), counted.sum()


def perplexity(loss: float) -> float:
    """exp(loss); infinity where that is too large for a float."""
    return math.exp(loss) if loss < 700 else math.inf


def scoring_tokenizer(config: CorpusConfig) -> Tokenize:
    """Returns how sacrebleu is to cut a corpus's text into words: not at all where it is tokenised already."""
    return (
        "none" if isinstance(config, DataConfig) and config.corpus == "multi30k" and config.variant == "tok" else "13a"
    )
