"""Several models as one: the mean of their probabilities at every step."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tfmr.decoding.search import Cache, Step, StepOutput
from tfmr.models import Transformer, log_of_mean


class Member(NamedTuple):
    """A model and its parameters."""

    model: Transformer
    params: dict


def ensemble_step(members: Sequence[tuple[Step, Cache]]) -> tuple[Step, Cache]:
    """Returns the step that writes with the mean of the members' probabilities, and its cache, a tuple of theirs.

    Its logits are log-probabilities; its attention is the mean. Of one member it is that member's own step.
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
