"""Common parts of all searches: the model as a step, log-probabilities of next tokens, scores.

A hypothesis is a sequence of tokens that ends in EOS. Its score is its log-probability divided by a length penalty;
both include EOS. The only continuation of a hypothesis that is one token short of its limit is EOS. Every hypothesis
therefore ends in EOS, and its score is what the model assigns to exactly these tokens, whichever rules restrict them.
A prefix is not part of the scored output: log-probability and length cover only the tokens after it. All hypotheses of
a row share its prefix, whose low probability would otherwise favour longer hypotheses.

Searches never write PAD or BOS, which no training target contains. They may write UNK if the tokenizer trains it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, OURS, Marks
from tfmr.search.top_k import top_k

Cache = Any
"""State that a step carries between calls: a pytree of arrays whose first axis is the batch."""


class StepOutput(NamedTuple):
    """Output of a step."""

    logits: Float[Array, "batch beam vocab"]
    """Logits of the token after the newest token of each hypothesis."""
    cache: Cache
    """The cache with the newest tokens added."""
    attention: Float[Array, "batch beam source"] | None = None
    """Attention of the newest tokens to the source tokens, for the coverage penalty only."""


Step = Callable[[Int[Array, "batch beam"], Int[Array, "batch beam length"], Cache, Int[Array, ""]], StepOutput]
"""step(tokens, origins, cache, position) computes the logits that follow the newest token of each hypothesis.

`tokens` are the newest tokens, at `position`. The step writes their keys and values to the cache in the order of the
beam. These never move, although the next beam contains other hypotheses. Instead, origins[b, i, t] is the beam slot in
which the token at position t of hypothesis i was written, for t <= position. All state of a row must be in the cache,
because running rows may be moved into a smaller batch.
"""

_SHRINK = 4
"""Factor by which a batch shrinks. Every size is compiled separately, so few sizes are better than many."""
_FEWEST_ROWS = 8
"""A batch does not shrink below this number of rows."""

State = TypeVar("State")


class SearchResult(NamedTuple):
    """The best hypotheses of each row, best first.

    A row may have fewer hypotheses than requested, and none if its limit is 0. Missing ones have score -inf, length 0.
    """

    tokens: Int[Array, "batch hypotheses length"]
    """Token ids up to EOS, then PAD."""
    scores: Float[Array, "batch hypotheses"]
    """Log-probability divided by the length penalty."""
    lengths: Int[Array, "batch hypotheses"]
    """Number of tokens, including EOS."""


def inverse_length_penalties(config: DecodingConfig, max_length: int) -> Float[np.ndarray, "{max_length+1}"]:
    """Returns 1 / penalty for each length from 0 to `max_length`, in non-increasing order.

    The penalty is ((5 + length) / 6)^alpha for "gnmt" (Wu et al. 2016, equation 14) and length^alpha for "power".
    Scores are products with these values because compilers do not round divisions consistently.
    """
    lengths = np.arange(max_length + 1, dtype=np.float64)
    base = (5.0 + lengths) / 6.0 if config.length_penalty == "gnmt" else np.maximum(lengths, 1.0)
    return (base**-config.alpha).astype(np.float32)


def coverage_costs(attended: Float[Array, "*rows source"], penalty: float) -> Float[Array, "*rows"]:
    """Returns the coverage penalty to subtract from scores (Wu et al. 2016, equation 14).

    Args:
      attended: the total attention of the target to each source token. Must be 1 for padding, which has no cost.
      penalty: beta.
    """
    return -penalty * jnp.log(jnp.clip(attended, jnp.finfo(jnp.float32).tiny, 1.0)).sum(axis=-1)


class Allowed(NamedTuple):
    """Restrictions on the next token. None: no restriction of this type."""

    only: Int[Array, "*rows"] | None = None
    """The only allowed token, or -1 if any is allowed."""
    end: Bool[Array, "*rows"] | None = None
    """Whether EOS is allowed."""
    banned: Bool[Array, "*rows vocab"] | None = None
    """Tokens that are not allowed."""


def continuations(
    logits: Float[Array, "*rows vocab"], number: int, allowed: Allowed, marks: Marks = OURS
) -> tuple[Float[Array, "*rows {number}"], Int[Array, "*rows {number}"]]:
    """Returns the log-probabilities and ids of the most probable allowed next tokens, most probable first.

    Ties go to the lower id. Tokens that are not allowed have log-probability -inf. The probabilities of the others are
    those of the model, not renormalized.
    """
    normaliser = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    if allowed.banned is not None:
        logits = jnp.where(allowed.banned, -jnp.inf, logits)
    # Selecting a few more tokens is cheaper than masking the unwritten ones in a copy of all logits.
    unwritten = len(marks.unwritten) + (allowed.end is not None)
    values, tokens = top_k(logits, min(number + unwritten, logits.shape[-1]))
    values = jnp.where(jnp.isin(tokens, jnp.array(marks.unwritten, tokens.dtype)), -jnp.inf, values)
    if allowed.only is not None:
        forced, only = allowed.only[..., None] >= 0, jnp.maximum(allowed.only[..., None], 0)
        first = jnp.where(jnp.arange(values.shape[-1]) == 0, jnp.take_along_axis(logits, only, axis=-1), -jnp.inf)
        values, tokens = jnp.where(forced, first, values), jnp.where(forced, only, tokens)
    if allowed.end is not None:
        values = jnp.where((tokens == marks.eos) & ~allowed.end[..., None], -jnp.inf, values)
    values, order = lax.top_k(values, number)
    tokens = jnp.take_along_axis(tokens, order, axis=-1)
    # Rounding must not make a log-probability positive: the searches rely on hypotheses never getting better.
    return jnp.minimum(values - normaliser, 0.0), tokens


def scored(
    log_probs: Float[Array, "batch *rest"], constraints: Any, position: Int[Array, ""]
) -> Float[Array, "batch *rest"]:
    """Returns the log-probabilities of next tokens, or 0 for those that a prefix imposes at this position."""
    if constraints.prefix is None:
        return log_probs
    imposed = position < constraints.prefix_lengths
    imposed = imposed.reshape(-1, *[1] * (log_probs.ndim - 1))
    return jnp.where(imposed & (log_probs > -jnp.inf), 0.0, log_probs)


def newest(tokens: Int[Array, "batch beam length"], position: Int[Array, ""]) -> Int[Array, "batch beam"]:
    """Returns the decoder input at `position`: BOS at position 0, otherwise the previous token of `tokens`."""
    last = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), axis=2, keepdims=False)
    return jnp.where(position == 0, BOS_ID, last)


def run_until_done(
    advance: Callable[[State], State],
    running: Callable[[State], Bool[Array, " batch"]],
    results: Callable[[State], Any],
    state: State,
    shrink: bool,
) -> Any:
    """Repeats `advance` until no row is running, and returns the results of all rows.

    With `shrink`, the running rows move to a smaller batch as soon as they fit into one, so that rows that are done
    cost nothing. The results of a row must not change after it is done.
    """
    fewer = running(state).shape[0] // _SHRINK
    if not shrink or fewer < _FEWEST_ROWS:
        return results(lax.while_loop(lambda state: running(state).any(), advance, state))
    state = lax.while_loop(lambda state: running(state).sum() > fewer, advance, state)

    def finish_rest() -> Any:
        rows = jnp.argsort(~running(state), stable=True)[:fewer]
        rest = run_until_done(advance, running, results, _take_rows(state, rows), shrink)
        return jax.tree.map(lambda whole, part: whole.at[rows].set(part), results(state), rest)

    return lax.cond(running(state).any(), finish_rest, lambda: results(state))


def _take_rows(state: Any, rows: Int[Array, " rows"]) -> Any:
    """Returns the state of a search for the rows with these indices; `position` and word tables stay as they are."""
    kept = {"position": state.position, "constraints": state.constraints.take_rows(rows)}
    rest = state._replace(position=None, constraints=None)
    return jax.tree.map(lambda x: x[rows], rest)._replace(**kept)
