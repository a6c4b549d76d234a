"""Greedy search: the most probable token, again and again."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.decoding.search import Cache, SearchResult, Step, continuations, inverse_length_penalties


class _State(NamedTuple):
    position: Int[Array, ""]
    tokens: Int[Array, "batch length"]
    log_probs: Float[Array, " batch"]
    running: Bool[Array, " batch"]
    cache: Cache


def greedy_search(
    step: Step, cache: Cache, limits: Int[Array, " batch"], max_length: int, config: DecodingConfig
) -> SearchResult:
    """Returns one hypothesis for each row.

    Args:
      step: the model.
      cache: what `step` starts from.
      limits: the longest output of each row in tokens, EOS included, at most `max_length`; 0: no output.
      max_length: the length of the arrays, static.
      config: gives the length penalty.
    """
    batch = limits.shape[0]
    origins = jnp.zeros((batch, 1, max_length), int)  # of a beam with one place

    def advance(state: _State) -> _State:
        position, tokens, log_probs, running, cache = state
        last = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), axis=1, keepdims=False)
        logits, cache = step(jnp.where(position == 0, BOS_ID, last)[:, None], origins, cache, position)
        new_log_probs, new = continuations(logits[:, 0], 1, position + 1 == limits)
        new = jnp.where(running, new[:, 0], PAD_ID)
        tokens = lax.dynamic_update_index_in_dim(tokens, new, position, axis=1)
        log_probs = log_probs + jnp.where(running, new_log_probs[:, 0], 0.0)
        return _State(position + 1, tokens, log_probs, running & (new != EOS_ID), cache)

    start = _State(
        position=jnp.array(0),
        tokens=jnp.full((batch, max_length), PAD_ID),
        log_probs=jnp.where(limits > 0, 0.0, -jnp.inf),
        running=limits > 0,
        cache=cache,
    )
    end = lax.while_loop(lambda state: state.running.any(), advance, start)
    lengths = (end.tokens != PAD_ID).sum(axis=1)
    scores = end.log_probs * jnp.asarray(inverse_length_penalties(config, max_length))[lengths]
    return SearchResult(end.tokens[:, None], scores[:, None], lengths[:, None])
