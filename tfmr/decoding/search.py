"""What all searches share: the model as a step, the penalty on length, the result.

A hypothesis is a sequence of tokens that ends in EOS. Its score is its log-probability, the EOS's included, divided
by a penalty on its length, which counts the EOS too. A hypothesis one token short of its limit can only go on with
EOS, so every hypothesis ends in one and its score is what the model gives to just these tokens.

PAD and BOS are never written: no training target holds them. UNK may be, where the tokenizer trains it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tfmr.decoding.top_k import top_k

Cache = Any
"""What a step keeps between two calls: a pytree of arrays."""

Step = Callable[
    [Int[Array, "batch beam"], Int[Array, "batch beam length"], Cache, Int[Array, ""]],
    tuple[Float[Array, "batch beam vocab"], Cache],
]
"""step(tokens, origins, cache, position) -> (logits, cache): the logits of what follows each hypothesis's newest token.

`tokens` stand at `position`. Their keys and values are written to the cache in the order of the beam and never moved,
though the next beam holds other hypotheses: origins[b, i, t] is the place in the beam at which the token at
position t of hypothesis i was written, up to and with `position`.
"""

_NEVER_WRITTEN = (PAD_ID, BOS_ID)


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


def continuations(
    logits: Float[Array, "*rows vocab"], number: int, must_end: Bool[Array, "*rows"]
) -> tuple[Float[Array, "*rows {number}"], Int[Array, "*rows {number}"]]:
    """Returns the log-probabilities and ids of the most probable next tokens, most probable first.

    Of equal ones the lower id is first. Where a row must end, the first is EOS and the others have -inf.
    """
    normaliser = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    # As many more as may never be written: cheaper than masking them in a copy of all logits.
    values, tokens = top_k(logits, number + len(_NEVER_WRITTEN))
    values = jnp.where(jnp.isin(tokens, jnp.array(_NEVER_WRITTEN)), -jnp.inf, values)
    values, places = lax.top_k(values, number)
    tokens = jnp.take_along_axis(tokens, places, axis=-1)
    only_end = jnp.where(jnp.arange(number) == 0, logits[..., EOS_ID, None], -jnp.inf)
    values = jnp.where(must_end[..., None], only_end, values)
    tokens = jnp.where(must_end[..., None], EOS_ID, tokens)
    # Rounding must not make a log-probability positive: that hypotheses only get worse is relied upon.
    return jnp.minimum(values - normaliser, 0.0), tokens
