"""Ensembles: the mean of the probabilities of several models at every step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tfmr.search.search import Cache, Step, StepOutput


def ensemble_step(members: Sequence[tuple[Step, Cache]]) -> tuple[Step, Cache]:
    """Returns a step that computes the mean of the members' probabilities, and its cache, the tuple of their caches.

    Its logits are log-probabilities, and its attention is the mean. A single member's step is returned unchanged.
    """
    if len(members) == 1:
        return members[0]
    steps, start = zip(*members, strict=True)

    def step(tokens, origins, caches, position):
        outputs = [each(tokens, origins, cache, position) for each, cache in zip(steps, caches, strict=True)]
        attention = [output.attention for output in outputs if output.attention is not None]
        return StepOutput(
            logits=log_of_mean([jax.nn.log_softmax(output.logits) for output in outputs]),
            cache=tuple(output.cache for output in outputs),
            attention=jnp.stack(attention).mean(axis=0) if attention else None,
        )

    return step, start


def log_of_mean(log_probs: Sequence[Float[Array, "*shape"]]) -> Float[Array, "*shape"]:
    """Returns the logarithm of the mean of probabilities that are given by their logarithms."""
    if len(log_probs) == 1:
        return log_probs[0]
    return jax.nn.logsumexp(jnp.stack(log_probs), axis=0) - jnp.log(jnp.float32(len(log_probs)))
