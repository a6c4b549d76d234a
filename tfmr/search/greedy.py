"""Searches without a beam: greedy search and sampling."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int, Key

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import EOS_ID, PAD_ID
from tfmr.search.constraints import Constraints, WordStates, allowed_next, follow_words, start_words
from tfmr.search.sampling import draw
from tfmr.search.search import (
    Allowed,
    Cache,
    SearchResult,
    Step,
    continuations,
    newest,
    run_until_done,
    scored,
)
from tfmr.search.values import SearchValues, search_values


class _State(NamedTuple):
    position: Int[Array, ""]
    tokens: Int[Array, "batch hypotheses length"]
    log_probs: Float[Array, "batch hypotheses"]
    running: Bool[Array, "batch hypotheses"]
    words: WordStates
    cache: Cache
    constraints: Constraints
    keys: Key[Array, "batch hypotheses"] | None


def greedy_search(
    step: Step,
    cache: Cache,
    constraints: Constraints,
    max_length: int,
    config: DecodingConfig,
    *,
    values: SearchValues | None = None,
    shrink: bool = True,
) -> SearchResult:
    """Returns one hypothesis for each row, which always continues with the most probable token.

    The arguments are those of `beam_search`, but `constraints` must not require words: only beam search finds them.
    """

    def most_probable(logits: Array, allowed: Allowed, keys: None, position: Array) -> tuple[Array, Array]:
        log_probs, tokens = continuations(logits, 1, allowed)
        return log_probs[..., 0], tokens[..., 0]

    values = search_values(config, max_length) if values is None else values
    return _write(step, cache, constraints, None, max_length, config, values, most_probable, 1, shrink)


def sample(
    step: Step,
    cache: Cache,
    constraints: Constraints,
    keys: Key[Array, "batch samples"],
    max_length: int,
    config: DecodingConfig,
    *,
    values: SearchValues | None = None,
    shrink: bool = True,
) -> SearchResult:
    """Returns one random hypothesis for each key of a row. The other arguments are those of `beam_search`.

    A hypothesis depends on its key, but not on other rows or keys. Its score is computed from the model's
    probabilities: the temperature and the rules of `config.sampling` change what is drawn, but not its score.
    """

    values = search_values(config, max_length) if values is None else values

    def random(logits: Array, allowed: Allowed, keys: Array, position: Array) -> tuple[Array, Array]:
        here = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (0, None))(keys, position)
        return draw(here, logits, allowed, config.sampling, values=values.sampling)

    return _write(step, cache, constraints, keys, max_length, config, values, random, keys.shape[1], shrink)


def _write(
    step: Step,
    cache: Cache,
    constraints: Constraints,
    keys: Key[Array, "batch hypotheses"] | None,
    max_length: int,
    config: DecodingConfig,
    values: SearchValues,
    choose: Callable[[Array, Allowed, Any, Array], tuple[Array, Array]],
    size: int,
    shrink: bool,
) -> SearchResult:
    """`choose(logits, allowed, keys, position)` returns the log-probability and the id of each next token."""

    def advance(state: _State) -> _State:
        batch = state.tokens.shape[0]
        origins = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32)[:, None], (batch, size, max_length))
        output = step(newest(state.tokens, state.position), origins, state.cache, state.position)
        allowed = allowed_next(
            config, state.constraints, state.tokens, state.words, state.position, output.logits.shape[-1]
        )
        new_log_probs, new = choose(output.logits, allowed, state.keys, state.position)
        new_log_probs = scored(new_log_probs, state.constraints, state.position)
        new = jnp.where(state.running, new, PAD_ID)
        return state._replace(
            position=state.position + 1,
            tokens=lax.dynamic_update_index_in_dim(state.tokens, new, state.position, axis=2),
            log_probs=state.log_probs + jnp.where(state.running, new_log_probs, 0.0),
            running=state.running & (new != EOS_ID),
            words=follow_words(state.constraints, state.words, new),
            cache=output.cache,
        )

    batch = constraints.limits.shape[0]
    asked = jnp.broadcast_to((constraints.limits > 0)[:, None], (batch, size))
    start = _State(
        position=jnp.int32(0),
        tokens=jnp.full((batch, size, max_length), PAD_ID, jnp.int32),
        log_probs=jnp.where(asked, 0.0, -jnp.inf).astype(jnp.float32),
        running=asked,
        words=start_words(constraints, size),
        cache=cache,
        constraints=constraints,
        keys=keys,
    )
    tokens, log_probs = run_until_done(
        advance,
        running=lambda state: state.running.any(axis=1),
        results=lambda state: (state.tokens, state.log_probs),
        state=start,
        shrink=shrink,
    )
    lengths = jnp.where(log_probs > -jnp.inf, (tokens != PAD_ID).sum(axis=2, dtype=jnp.int32), 0)
    free = jnp.maximum(lengths - constraints.prefix_lengths[:, None], 0)
    scores = log_probs * jnp.asarray(values.inverse_penalties)[free]
    return SearchResult(tokens, scores, lengths)
