"""Scores of given translations: the log-probability of each of their tokens.

A translation that decoding wrote gets the same score as in decoding, although the model sees all of its tokens at once.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from tfmr.config import DecodingConfig
from tfmr.models import Transformer, token_log_probs
from tfmr.search.ensemble import log_of_mean
from tfmr.search.search import coverage_costs, inverse_length_penalties
from tfmr.translation.alignment import cross_attention
from tfmr.translation.pairs import Pair, PairArrays


class Score(NamedTuple):
    """The probability of a target given its source. NaN without tokens if the pair is too long for the model."""

    log_prob: float
    """Log-probability in nats, summed over the tokens, without those of tags in front."""
    score: float
    """The score by which decoding ranks: log_prob divided by the length penalty, minus the coverage penalty."""
    tokens: list[int]
    """Token ids; the last is EOS if the target was a line of text."""
    token_log_probs: list[float]
    """Log-probability of each token given the previous ones, in nats."""


NOT_SCORED = Score(math.nan, math.nan, [], [])


def make_score(
    pair: Pair, row: tuple[Float[np.ndarray, " width"], np.floating], config: DecodingConfig, tags: Sequence[int] = ()
) -> Score:
    """Returns the score of a pair from its row of `log_probs_and_costs`.

    `config` determines the length penalty. `tags` are the tokens before a target, which do not count, as in decoding.
    """
    given = len(tags) if pair.target[: len(tags)] == list(tags) else 0
    log_probs = row[0][: len(pair.target)].tolist()
    log_prob = math.fsum(log_probs[given:])
    inverse_penalty = inverse_length_penalties(config, len(pair.target) - given)[-1]
    return Score(log_prob, log_prob * float(inverse_penalty) - float(row[1]), pair.target, log_probs)


@functools.partial(jax.jit, static_argnames=("models", "coverage_penalty"))
def log_probs_and_costs(
    params: tuple[dict, ...], pairs: PairArrays, *, models: tuple[Transformer, ...], coverage_penalty: float
) -> tuple[Float[Array, "rows width"], Float[Array, " rows"]]:
    """Returns the log-probabilities of the tokens, and the coverage penalty of each row.

    Several models are the members of an ensemble, whose probabilities are averaged.
    """
    sentences = pairs.source, pairs.target_input, pairs.target_output
    segments = dict(source_segments=pairs.source_segments, target_segments=pairs.target_segments)
    members = list(zip(models, params, strict=True))
    log_probs = log_of_mean([token_log_probs(model, each, *sentences, **segments) for model, each in members])
    if coverage_penalty == 0:
        return log_probs, jnp.zeros(len(pairs.source))
    attention = [
        cross_attention(each, pairs, model=model, layer=model.config.num_decoder_layers - 1, head=None)
        for model, each in members
    ]
    seen = jnp.where(pairs.target_segments[..., None] > 0, jnp.stack(attention).mean(axis=0), 0.0).sum(axis=1)
    return log_probs, coverage_costs(jnp.where(pairs.source_segments > 0, seen, 1.0), coverage_penalty)
