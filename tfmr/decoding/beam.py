"""Beam search (section 6.1).

A row's beam holds its k best unfinished hypotheses. At each step the 2k best of all their continuations are taken;
those among the first k that end are finished, and the best k of the rest are the next beam. A row is done as soon as
k hypotheses are finished, or earlier if none in the beam can still be among the best that are asked for. So k = 1 is
greedy search, and a beam as wide as there are hypotheses finds the best of all.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.decoding.search import Cache, SearchResult, Step, continuations, inverse_length_penalties


class _Beam(NamedTuple):
    """Unfinished hypotheses, best first; a log-probability of -inf is an empty place."""

    tokens: Int[Array, "batch beam length"]
    origins: Int[Array, "batch beam length"]
    """At which place of the beam each position's token was written to the cache."""
    log_probs: Float[Array, "batch beam"]


class _State(NamedTuple):
    position: Int[Array, ""]
    beam: _Beam
    cache: Cache
    finished: SearchResult
    num_finished: Int[Array, " batch"]


def beam_search(
    step: Step,
    cache: Cache,
    limits: Int[Array, " batch"],
    max_length: int,
    config: DecodingConfig,
    num_hypotheses: int = 1,
) -> SearchResult:
    """Returns the best hypotheses of each row.

    Args:
      step: the model.
      cache: what `step` starts from.
      limits: the longest output of each row in tokens, EOS included, at most `max_length`; 0: no output.
      max_length: the length of the arrays, static.
      config: gives the beam's size and the length penalty.
      num_hypotheses: how many to return, at most the beam's size. The first n are the same for any number.
    """
    size = config.beam_size
    inverse_penalties = jnp.asarray(inverse_length_penalties(config, max_length))

    def advance(state: _State) -> _State:
        position, beam, cache, finished, num_finished = state
        here = jnp.broadcast_to(jnp.arange(size), beam.log_probs.shape)
        beam = beam._replace(origins=lax.dynamic_update_index_in_dim(beam.origins, here, position, axis=2))
        log_probs, tokens, parents, cache = _extend(step, beam, cache, position, limits)
        ends = tokens == EOS_ID
        finishing = ends[:, :size] & (log_probs[:, :size] > -jnp.inf)
        grown = _grow(beam.tokens, parents, tokens, position)
        scores = jnp.where(finishing, log_probs[:, :size] * inverse_penalties[position + 1], -jnp.inf)
        finished = _keep_best(finished, grown[:, :size], scores, position + 1)
        num_finished = num_finished + finishing.sum(axis=1)

        log_probs, places = lax.top_k(jnp.where(ends, -jnp.inf, log_probs), size)
        # The best that a hypothesis can still become: no further log-probability, and the largest penalty.
        best_possible = log_probs[:, 0] * inverse_penalties[limits]
        done = (num_finished >= size) | (best_possible <= finished.scores[:, -1])
        log_probs = jnp.where(done[:, None], -jnp.inf, log_probs)
        parents = jnp.take_along_axis(parents, places, axis=1)
        beam = _Beam(_take(grown, places), _take(beam.origins, parents), log_probs)
        return _State(position + 1, beam, cache, finished, num_finished)

    start = _start(cache, limits, max_length, size, num_hypotheses)
    return lax.while_loop(lambda state: (state.beam.log_probs > -jnp.inf).any(), advance, start).finished


def _start(cache: Cache, limits: Int[Array, " batch"], max_length: int, size: int, num_hypotheses: int) -> _State:
    batch = limits.shape[0]
    # One empty hypothesis: the other places of the beam would only repeat it.
    first = (jnp.arange(size) == 0) & (limits > 0)[:, None]
    return _State(
        position=jnp.array(0),
        beam=_Beam(
            tokens=jnp.full((batch, size, max_length), PAD_ID),
            origins=jnp.zeros((batch, size, max_length), int),
            log_probs=jnp.where(first, 0.0, -jnp.inf),
        ),
        cache=cache,
        finished=SearchResult(
            tokens=jnp.full((batch, num_hypotheses, max_length), PAD_ID),
            scores=jnp.full((batch, num_hypotheses), -jnp.inf),
            lengths=jnp.zeros((batch, num_hypotheses), dtype=int),
        ),
        num_finished=jnp.zeros(batch, dtype=int),
    )


def _extend(
    step: Step, beam: _Beam, cache: Cache, position: Int[Array, ""], limits: Int[Array, " batch"]
) -> tuple[Float[Array, "batch twice_beam"], Int[Array, "batch twice_beam"], Int[Array, "batch twice_beam"], Cache]:
    """Returns the log-probability, last token and parent of the 2k best continuations of a beam, and the cache."""
    batch, size = beam.log_probs.shape
    last = lax.dynamic_index_in_dim(beam.tokens, jnp.maximum(position - 1, 0), axis=2, keepdims=False)
    logits, cache = step(jnp.where(position == 0, BOS_ID, last), beam.origins, cache, position)
    # At most k of the 2k end, and of one hypothesis at most one: k + 1 of each are enough.
    each = min(size + 1, logits.shape[-1] - 2)
    must_end = jnp.broadcast_to((position + 1 == limits)[:, None], (batch, size))
    log_probs, tokens = continuations(logits, each, must_end)
    log_probs = (beam.log_probs[..., None] + log_probs).reshape(batch, -1)
    log_probs, places = lax.top_k(log_probs, 2 * size)
    return log_probs, jnp.take_along_axis(tokens.reshape(batch, -1), places, axis=1), places // each, cache


def _grow(
    tokens: Int[Array, "batch beam length"],
    parents: Int[Array, "batch twice_beam"],
    new: Int[Array, "batch twice_beam"],
    position: Int[Array, ""],
) -> Int[Array, "batch twice_beam length"]:
    return lax.dynamic_update_index_in_dim(_take(tokens, parents), new, position, axis=2)


def _keep_best(
    finished: SearchResult,
    tokens: Int[Array, "batch beam length"],
    scores: Float[Array, "batch beam"],
    length: Int[Array, ""],
) -> SearchResult:
    """Returns the best of the finished hypotheses and of the new ones; of equal scores the earlier finished."""
    merged = SearchResult(
        tokens=jnp.concatenate([finished.tokens, tokens], axis=1),
        scores=jnp.concatenate([finished.scores, scores], axis=1),
        lengths=jnp.concatenate([finished.lengths, jnp.full_like(scores, length, dtype=int)], axis=1),
    )
    scores, places = lax.top_k(merged.scores, finished.scores.shape[1])
    found = scores > -jnp.inf
    return SearchResult(
        tokens=jnp.where(found[..., None], _take(merged.tokens, places), PAD_ID),
        scores=scores,
        lengths=jnp.where(found, jnp.take_along_axis(merged.lengths, places, axis=1), 0),
    )


def _take(
    tokens: Int[Array, "batch hypotheses length"], places: Int[Array, "batch chosen"]
) -> Int[Array, "batch chosen length"]:
    return jnp.take_along_axis(tokens, places[..., None], axis=1)
