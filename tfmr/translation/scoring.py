"""Scores of given translations: the log-probability that the model gives to each of their tokens.

What decoding wrote gets the score that decoding gave it: the model sees the same tokens, all at once.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from tfmr.config import DecodingConfig
from tfmr.models import Transformer, token_log_probs
from tfmr.search.ensemble import log_of_mean
from tfmr.search.search import coverage_costs, inverse_length_penalties
from tfmr.translation.alignment import cross_attention
from tfmr.translation.model_step import Member
from tfmr.translation.pairs import Pair, make_pair_batches
from tfmr.translation.rows import Rows


class Score(NamedTuple):
    """How probable a model finds a target, given its source. Of a pair that is too long for it: NaN, and no tokens."""

    log_prob: float
    """The logarithm of its probability, in nats: the sum over its tokens."""
    score: float
    """By what decoding ranks: log_prob divided by the length penalty, less the coverage penalty."""
    tokens: list[int]
    """Its token ids; of a line of text EOS is the last, and counts."""
    token_log_probs: list[float]
    """The log-probability of each token after those before it, in nats."""


NOT_SCORED = Score(math.nan, math.nan, [], [])


def score_pairs(
    members: Sequence[Member], pairs: dict[int, Pair], config: DecodingConfig, longest: int | None, rows: Rows
) -> dict[int, Score]:
    """Returns the score of each pair, by index.

    Args:
      members: the model; of an ensemble several, of whose probabilities the mean is taken.
      pairs: token ids, none longer than `longest`.
      config: gives the penalties and the batch's size.
      longest: the most tokens that the models have positions for; None: any number.
      rows: where a batch's rows live.
    """
    models, params = zip(*members, strict=True)
    batches = list(make_pair_batches(pairs, config.batch_size, longest, rows.parts))
    # All are sent to the device before the first result is waited for.
    run = functools.partial(_log_probs_and_costs, params, models=models, coverage_penalty=config.coverage_penalty)
    results = [run(*map(rows.put, batch[1:])) for batch in batches]
    scores = {}
    for batch, result in zip(batches, results, strict=True):
        for index, log_probs, cost in zip(batch.indices, *map(rows.fetch, result), strict=False):
            target = pairs[index].target
            scores[index] = _score(target, log_probs[: len(target)].tolist(), float(cost), config)
    return scores


def _score(target: list[int], log_probs: list[float], cost: float, config: DecodingConfig) -> Score:
    log_prob = math.fsum(log_probs)
    inverse_penalty = inverse_length_penalties(config, len(target))[-1]
    return Score(log_prob, log_prob * float(inverse_penalty) - cost, target, log_probs)


@functools.partial(jax.jit, static_argnames=("models", "coverage_penalty"))
def _log_probs_and_costs(
    params: tuple[dict, ...],
    source: Int[Array, "rows width"],
    source_segments: Int[Array, "rows width"],
    target_input: Int[Array, "rows width"],
    target_output: Int[Array, "rows width"],
    target_segments: Int[Array, "rows width"],
    *,
    models: tuple[Transformer, ...],
    coverage_penalty: float,
) -> tuple[Float[Array, "rows width"], Float[Array, " rows"]]:
    """Returns the tokens' log-probabilities, and what coverage takes from the score."""
    arrays = source, source_segments, target_input, target_output, target_segments
    members = list(zip(models, params, strict=True))
    log_probs = log_of_mean([token_log_probs(model, each, *arrays) for model, each in members])
    if coverage_penalty == 0:
        return log_probs, jnp.zeros(len(source))
    attention = [
        cross_attention(each, *arrays, model=model, layer=model.config.num_decoder_layers - 1, head=None)
        for model, each in members
    ]
    seen = jnp.where(target_segments[..., None] > 0, jnp.stack(attention).mean(axis=0), 0.0).sum(axis=1)
    return log_probs, coverage_costs(jnp.where(source_segments > 0, seen, 1.0), coverage_penalty)
