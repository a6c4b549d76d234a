"""Random choice of the next token, from all tokens or from the most probable ones."""

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
        descending = -jnp.sort(-logits, axis=-1)
        probabilities = jax.nn.softmax(descending, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        smallest = jnp.where(before < config.top_p, descending, jnp.inf).min(axis=-1, keepdims=True)
        logits = jnp.where(logits < smallest, -jnp.inf, logits)
    if config.min_p > 0.0:
        largest = logits.max(axis=-1, keepdims=True)
        logits = jnp.where(logits < largest + jnp.log(config.min_p), -jnp.inf, logits)
    return logits


def _keep_allowed(logits: Float[Array, "*rows vocab"], allowed: Allowed, marks: Marks) -> Float[Array, "*rows vocab"]:
    tokens = jnp.arange(logits.shape[-1])
    banned = jnp.isin(tokens, jnp.array(marks.unwritten, int))
    if allowed.end is not None:
        banned = banned | ((tokens == marks.eos) & ~allowed.end[..., None])
    if allowed.banned is not None:
        banned = banned | allowed.banned
    return jnp.where(banned, -jnp.inf, logits)
