"""Random choice of the next token, from all tokens or from the most probable ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, Key

from tfmr.config import SamplingConfig
from tfmr.data.tokenizer import OURS, Marks
from tfmr.search.search import Allowed


class SamplingValues(NamedTuple):
    """The numbers of a `SamplingConfig` as arrays, so that a compiled program serves all values. None: not a rule."""

    temperature: Float[Array | np.ndarray, ""]
    top_p: Float[Array | np.ndarray, ""] | None = None
    min_p: Float[Array | np.ndarray, ""] | None = None


def sampling_values(config: SamplingConfig) -> SamplingValues:
    """Returns the arrays of a config whose temperature is above 0."""
    return SamplingValues(
        temperature=np.asarray(config.temperature, np.float32),
        top_p=np.asarray(config.top_p, np.float32) if config.top_p < 1.0 else None,
        min_p=np.asarray(config.min_p, np.float32) if config.min_p > 0.0 else None,
    )


def compiled_sampling(config: SamplingConfig) -> SamplingConfig:
    """Returns the config without the seed and what `SamplingValues` contain, to compile a program only once."""
    return SamplingConfig(temperature=1.0, top_k=config.top_k) if config.temperature > 0 else SamplingConfig()


def draw(
    keys: Key[Array, "*rows"],
    logits: Float[Array, "*rows vocab"],
    allowed: Allowed,
    config: SamplingConfig,
    marks: Marks = OURS,
    values: SamplingValues | None = None,
) -> tuple[Float[Array, "*rows"], Int[Array, "*rows"]]:
    """Draws a token for each row. Returns its log-probability under the model, -inf if none is allowed, and its id.

    `values` replaces those of the config.
    """
    kept = _keep_allowed(logits, allowed, marks)
    filtered = filter_logits(kept, config, values)
    flat = filtered.reshape(-1, filtered.shape[-1])
    tokens = jax.vmap(jax.random.categorical)(keys.reshape(-1), flat).astype(jnp.int32).reshape(keys.shape)
    if allowed.only is not None:
        tokens = jnp.where(allowed.only >= 0, allowed.only, tokens)
    chosen = jnp.take_along_axis(kept, tokens[..., None], axis=-1)[..., 0]
    return jnp.minimum(chosen - jax.nn.logsumexp(logits, axis=-1), 0.0), tokens


def filter_logits(
    logits: Float[Array, "*rows vocab"], config: SamplingConfig, values: SamplingValues | None = None
) -> Float[Array, "*rows vocab"]:
    """Returns the logits to sample from: divided by the temperature, and -inf for the tokens that are removed.

    Temperature, top-k, top-p and min-p apply in this order, each to the renormalized probabilities that the previous
    one leaves. Tokens as probable as the least probable token kept are kept too. The temperature must be above 0.
    `values` replaces those of the config.
    """
    values = sampling_values(config) if values is None else values
    logits = logits / values.temperature
    vocab = logits.shape[-1]
    if 0 < config.top_k < vocab:
        smallest = lax.top_k(logits, config.top_k)[0][..., -1:]
        logits = jnp.where(logits < smallest, -jnp.inf, logits)
    if values.top_p is not None:
        logits = _keep_top_p(logits, values.top_p)
    if values.min_p is not None:
        largest = logits.max(axis=-1, keepdims=True)
        logits = jnp.where(logits < largest + jnp.log(values.min_p), -jnp.inf, logits)
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
    logits: Float[Array, "*rows vocab"], top_p: Float[Array | np.ndarray, "..."]
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
