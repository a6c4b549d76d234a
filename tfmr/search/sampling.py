"""Random choice of the next token, from all tokens or from the most probable ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, Key

from tfmr.config import SamplingConfig
from tfmr.data.tokenizer import OURS, Marks
from tfmr.search.search import Allowed


def draw(
    keys: Key[Array, "*rows"],
    logits: Float[Array, "*rows vocab"],
    allowed: Allowed,
    config: SamplingConfig,
    marks: Marks = OURS,
) -> tuple[Float[Array, "*rows"], Int[Array, "*rows"]]:
    """Draws a token for each row. Returns its log-probability under the model, -inf if none is allowed, and its id."""
    kept = _keep_allowed(logits, allowed, marks)
    filtered = filter_logits(kept, config)
    flat = filtered.reshape(-1, filtered.shape[-1])
    tokens = jax.vmap(jax.random.categorical)(keys.reshape(-1), flat).astype(jnp.int32).reshape(keys.shape)
    if allowed.only is not None:
        tokens = jnp.where(allowed.only >= 0, allowed.only, tokens)
    chosen = jnp.take_along_axis(kept, tokens[..., None], axis=-1)[..., 0]
    return jnp.minimum(chosen - jax.nn.logsumexp(logits, axis=-1), 0.0), tokens


def filter_logits(logits: Float[Array, "*rows vocab"], config: SamplingConfig) -> Float[Array, "*rows vocab"]:
    """Returns the logits to sample from: divided by the temperature, and -inf for the tokens that are removed.

    Temperature, top-k, top-p and min-p apply in this order, each to the renormalized probabilities that the previous
    one leaves. Tokens as probable as the least probable token kept are kept too. The temperature must be above 0.
    """
    logits = logits / config.temperature
    vocab = logits.shape[-1]
    if 0 < config.top_k < vocab:
        smallest = lax.top_k(logits, config.top_k)[0][..., -1:]
        logits = jnp.where(logits < smallest, -jnp.inf, logits)
    if config.top_p < 1.0:
        logits = _keep_top_p(logits, config.top_p)
    if config.min_p > 0.0:
        largest = logits.max(axis=-1, keepdims=True)
        logits = jnp.where(logits < largest + jnp.log(config.min_p), -jnp.inf, logits)
    return logits


class RowSampling(NamedTuple):
    """How to draw for each row on its own. In arrays, so that other values need no other program."""

    temperature: Float[Array, " rows"]
    """0: take the most probable token."""
    top_p: Float[Array, " rows"] | None
    """None: 1 for all rows, which saves sorting."""


def draw_for_rows(
    keys: Key[Array, " rows"],
    logits: Float[Array, "rows vocab"],
    allowed: Allowed,
    sampling: RowSampling,
    marks: Marks = OURS,
) -> tuple[Float[Array, " rows"], Int[Array, " rows"]]:
    """Draws a token for each row as its own settings say; see `draw`."""
    kept = _keep_allowed(logits, allowed, marks)
    greedy = sampling.temperature == 0
    filtered = kept / jnp.where(greedy, 1.0, sampling.temperature)[:, None]
    if sampling.top_p is not None:
        top_p = sampling.top_p[:, None]
        filtered = jnp.where(top_p < 1.0, _keep_top_p(filtered, top_p), filtered)
    drawn = jax.vmap(jax.random.categorical)(keys, filtered)
    tokens = jnp.where(greedy, kept.argmax(axis=-1), drawn).astype(jnp.int32)
    chosen = jnp.take_along_axis(kept, tokens[:, None], axis=-1)[:, 0]
    return jnp.minimum(chosen - jax.nn.logsumexp(logits, axis=-1), 0.0), tokens


def _keep_top_p(
    logits: Float[Array, "*rows vocab"], top_p: float | Float[Array, "*rows 1"]
) -> Float[Array, "*rows vocab"]:
    descending = -jnp.sort(-logits, axis=-1)
    probabilities = jax.nn.softmax(descending, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    smallest = jnp.where(before < top_p, descending, jnp.inf).min(axis=-1, keepdims=True)
    return jnp.where(logits < smallest, -jnp.inf, logits)


def _keep_allowed(logits: Float[Array, "*rows vocab"], allowed: Allowed, marks: Marks) -> Float[Array, "*rows vocab"]:
    tokens = jnp.arange(logits.shape[-1])
    banned = jnp.isin(tokens, jnp.array(marks.unwritten, int))
    if allowed.end is not None:
        banned = banned | ((tokens == marks.eos) & ~allowed.end[..., None])
    if allowed.banned is not None:
        banned = banned | allowed.banned
    return jnp.where(banned, -jnp.inf, logits)
