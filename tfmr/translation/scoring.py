"""Scores of given translations: the log-probability of each of their tokens.

A translation that decoding wrote gets the same score as in decoding, although the model sees all of its tokens at once.
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
from tfmr.translation.padded_batches import make_pair_batches
from tfmr.translation.pairs import Pair
from tfmr.translation.rows import Rows


class Score(NamedTuple):
    """The probability of a target given its source. NaN without tokens if the pair is too long for the model."""

    log_prob: float
    """Log-probability in nats, summed over the tokens."""
    score: float
    """The score by which decoding ranks: log_prob divided by the length penalty, minus the coverage penalty."""
    tokens: list[int]
    """Token ids; the last is EOS if the target was a line of text."""
    token_log_probs: list[float]
    """Log-probability of each token given the previous ones, in nats."""


NOT_SCORED = Score(math.nan, math.nan, [], [])


def score_pairs(
    members: Sequence[Member], pairs: dict[int, Pair], config: DecodingConfig, longest: int | None, rows: Rows
) -> dict[int, Score]:
    """Returns the score of each pair, by index.

    Args:
      members: the model, or the members of an ensemble, whose probabilities are averaged.
      pairs: token ids, at most `longest` of them on each side.
      config: determines the penalties and the batch size.
      longest: the number of positions of the models. None: no limit.
      rows: where the rows of a batch live.
    """
    models, params = zip(*members, strict=True)
    batches = list(make_pair_batches(pairs, config.batch_size, longest, rows.parts))
    # Start all batches before waiting for the first result.
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
    """Returns the log-probabilities of the tokens, and the coverage penalty of each row."""
    arrays = source, source_segments, target_input, target_output, target_segments
    members = list(zip(models, params, strict=True))
    segments = dict(source_segments=source_segments, target_segments=target_segments)
    log_probs = log_of_mean(
        [token_log_probs(model, each, source, target_input, target_output, **segments) for model, each in members]
    )
    if coverage_penalty == 0:
        return log_probs, jnp.zeros(len(source))
    attention = [
        cross_attention(each, *arrays, model=model, layer=model.config.num_decoder_layers - 1, head=None)
        for model, each in members
    ]
    seen = jnp.where(target_segments[..., None] > 0, jnp.stack(attention).mean(axis=0), 0.0).sum(axis=1)
    return log_probs, coverage_costs(jnp.where(source_segments > 0, seen, 1.0), coverage_penalty)
