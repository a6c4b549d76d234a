"""What every search shares: the model as a step, log-probabilities of next tokens, scores.

A hypothesis is a sequence of tokens that ends in EOS. Its score is its log-probability, the EOS's included, divided
by a penalty on its length, which counts the EOS too. A hypothesis one token short of its limit can only go on with
EOS, so every hypothesis ends in one and its score is what the model gives to just these tokens, whatever else a
rule has kept from being written.

PAD and BOS are never written: no training target holds them. UNK may be, where the tokenizer trains it.
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
"""What a step keeps between two calls: a pytree of arrays whose first axis is the batch."""


class StepOutput(NamedTuple):
    """What a step gives."""

    logits: Float[Array, "batch beam vocab"]
    """Of what follows each hypothesis's newest token."""
    cache: Cache
    """With the newest tokens written."""
    attention: Float[Array, "batch beam source"] | None = None
    """Where the newest tokens looked in the source, for the coverage penalty alone."""


Step = Callable[
    [Int[Array, "batch beam"], Int[Array, "batch beam length"], Cache, Int[Array, ""]],
    StepOutput,
]
"""step(tokens, origins, cache, position): what follows each hypothesis's newest token.

`tokens` stand at `position`. Their keys and values are written to the cache in the order of the beam and never moved,
though the next beam holds other hypotheses: origins[b, i, t] is the place in the beam at which the token at
position t of hypothesis i was written, up to and with `position`. A step keeps nothing of the batch but in its cache:
the rows that still run may move together into a smaller batch.
"""

_SHRINK = 4
"""How many times smaller a batch becomes. Each size is compiled, so few are better than many."""
_FEWEST_ROWS = 8

State = TypeVar("State")


class SearchResult(NamedTuple):
    """The best hypotheses for each row, best first.

    A row whose limit is 0 has none, and one may have fewer than were asked for: those have score -inf and length 0.
    """

    tokens: Int[Array, "batch hypotheses length"]
    """EOS included, PAD after it."""
    scores: Float[Array, "batch hypotheses"]
    """Log-probability divided by the length penalty."""
    lengths: Int[Array, "batch hypotheses"]
    """Number of tokens, EOS included."""


def inverse_length_penalties(config: DecodingConfig, max_length: int) -> Float[np.ndarray, "{max_length+1}"]:
    """Returns 1 / penalty at each length from 0 to `max_length`; none is greater than the one before.

    The penalty gnmt is ((5 + length) / 6)^alpha (Wu et al. 2016, equation 14), power is length^alpha. Scores are
    made by multiplication with these: a compiler may round a division in one of two ways.
    """
    lengths = np.arange(max_length + 1, dtype=np.float64)
    base = (5.0 + lengths) / 6.0 if config.length_penalty == "gnmt" else np.maximum(lengths, 1.0)
    return (base**-config.alpha).astype(np.float32)


def coverage_costs(attended: Float[Array, "*rows source"], penalty: float) -> Float[Array, "*rows"]:
    """Returns what scores lose for source tokens that were hardly attended to (Wu et al. 2016, equation 14).

    Args:
      attended: the sum of the target's attention to each source token; 1 for padding, which costs nothing.
      penalty: beta.
    """
    return -penalty * jnp.log(jnp.clip(attended, jnp.finfo(jnp.float32).tiny, 1.0)).sum(axis=-1)


class Allowed(NamedTuple):
    """What may come next; None: anything that is ever written."""

    only: Int[Array, "*rows"] | None = None
    """The one token that may come next, or -1 for any."""
    end: Bool[Array, "*rows"] | None = None
    """Whether EOS may come next."""
    banned: Bool[Array, "*rows vocab"] | None = None
    """Tokens that may not."""


def continuations(
    logits: Float[Array, "*rows vocab"], number: int, allowed: Allowed, marks: Marks = OURS
) -> tuple[Float[Array, "*rows {number}"], Int[Array, "*rows {number}"]]:
    """Returns the log-probabilities and ids of the most probable allowed next tokens, most probable first.

    Of equal ones the lower id is first. What is not allowed has -inf. The probabilities are the model's own: what is
    not allowed keeps its share.
    """
    normaliser = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    if allowed.banned is not None:
        logits = jnp.where(allowed.banned, -jnp.inf, logits)
    # As many more as may not be written: cheaper than masking them in a copy of all logits.
    unwritten = len(marks.unwritten) + (allowed.end is not None)
    values, tokens = top_k(logits, min(number + unwritten, logits.shape[-1]))
    values = jnp.where(jnp.isin(tokens, jnp.array(marks.unwritten, int)), -jnp.inf, values)
    if allowed.only is not None:
        forced, only = allowed.only[..., None] >= 0, jnp.maximum(allowed.only[..., None], 0)
        first = jnp.where(jnp.arange(values.shape[-1]) == 0, jnp.take_along_axis(logits, only, axis=-1), -jnp.inf)
        values, tokens = jnp.where(forced, first, values), jnp.where(forced, only, tokens)
    if allowed.end is not None:
        values = jnp.where((tokens == marks.eos) & ~allowed.end[..., None], -jnp.inf, values)
    values, order = lax.top_k(values, number)
    tokens = jnp.take_along_axis(tokens, order, axis=-1)
    # Rounding must not make a log-probability positive: that hypotheses only get worse is relied upon.
    return jnp.minimum(values - normaliser, 0.0), tokens


def newest(tokens: Int[Array, "batch beam length"], position: Int[Array, ""]) -> Int[Array, "batch beam"]:
    """Returns the token that stands at `position` of the decoder's input: BOS, or the one before in `tokens`."""
    last = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), axis=2, keepdims=False)
    return jnp.where(position == 0, BOS_ID, last)


def run_until_done(
    advance: Callable[[State], State],
    running: Callable[[State], Bool[Array, " batch"]],
    results: Callable[[State], Any],
    take_rows: Callable[[State, Int[Array, " rows"]], State],
    state: State,
    shrink: bool,
) -> Any:
    """Repeats `advance` until no row runs, and returns the results of all rows.

    With `shrink`, as soon as few rows run they go on in a smaller batch, and so on: what is done costs nothing more.
    A row's results must not change once it is done.
    """
    fewer = running(state).shape[0] // _SHRINK
    if not shrink or fewer < _FEWEST_ROWS:
        return results(lax.while_loop(lambda state: running(state).any(), advance, state))
    state = lax.while_loop(lambda state: running(state).sum() > fewer, advance, state)

    def finish_rest() -> Any:
        rows = jnp.argsort(~running(state), stable=True)[:fewer]
        rest = run_until_done(advance, running, results, take_rows, take_rows(state, rows), shrink)
        return jax.tree.map(lambda whole, part: whole.at[rows].set(part), results(state), rest)

    return lax.cond(running(state).any(), finish_rest, lambda: results(state))
