"""The loss of a model on token batches, without dropout or label smoothing."""

import collections
import contextvars
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from tfmr.errors import InputError
from tfmr.models import Model, log_probs_of
from tfmr.training.sharding import logical_names_on, to_devices

Batch = Mapping[str, Any]
"""int32 arrays by name, as `arrays` of a split returns them."""


between_batches: contextvars.ContextVar[Callable[[], None]] = contextvars.ContextVar("between", default=lambda: None)
"""Called in every process after each batch of an evaluation. Training uses it to end an interrupted evaluation."""


def evaluate_loss(batch_sums: Callable[[Batch], tuple[ArrayLike, ArrayLike]], batches: Iterable[Batch]) -> float:
    """Returns the mean loss per token over all batches, summed in float64.

    `batch_sums` returns the summed loss and the number of tokens of a batch. Padding does not count, so the result does
    not depend on how the tokens are batched.

    Raises:
      InputError: if there are no tokens.
    """
    sums: list[tuple[float, float]] = []
    started: collections.deque[tuple[ArrayLike, ArrayLike]] = collections.deque()
    for batch in batches:
        started.append(batch_sums(batch))
        if len(started) > 1:  # The device is never idle. More would take memory, and time to interrupt.
            sums.append(_floats(started.popleft()))
        between_batches.get()()
    sums += map(_floats, started)
    total, tokens = (math.fsum(values) for values in zip(*sums, strict=True)) if sums else (0.0, 0.0)
    if tokens == 0:
        raise InputError("there are no target tokens to evaluate")
    return total / tokens


def _floats(sums: tuple[ArrayLike, ArrayLike]) -> tuple[float, float]:
    loss, tokens = sums
    return float(np.asarray(loss)), float(np.asarray(tokens))


def mean_loss(model: Model, params: Any, batches: Iterable[Batch], mesh: Mesh | None = None) -> float:
    """Returns the mean negative log-likelihood per target token, in nats, over all batches.

    With a mesh, the rows of each batch are sharded over it, and all of its processes must call this.

    Raises:
      InputError: if there are no target tokens.
    """
    sums = functools.partial(negative_log_likelihood, model, params)
    if mesh is None:
        return evaluate_loss(sums, batches)
    with logical_names_on(mesh):
        return evaluate_loss(sums, (to_devices(dict(batch), mesh) for batch in batches))


@functools.partial(jax.jit, static_argnames="model")
def negative_log_likelihood(model: Model, params: dict, batch: Batch) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Returns the summed negative log-likelihood of the target tokens in nats, without smoothing, and their number."""
    apply: Any = model.apply
    states, table = apply({"params": params}, **model.inputs_of(batch), method="states_and_output_table")
    targets = jnp.asarray(batch["target_output"])
    losses = -log_probs_of(states, table, targets)
    counted = (jnp.asarray(batch["target_segments"]) != 0) & (targets >= 0)  # the others are context only
    return jnp.where(counted, losses, 0.0).sum(), counted.sum()


def perplexity(loss: float) -> float:
    """Returns exp(loss), or infinity if it overflows a float."""
    return math.exp(loss) if loss < 700 else math.inf
