"""Log-probabilities of the tokens of a given target."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from tfmr.models.transformer.model import Transformer

_TOKENS_AT_ONCE = 512
"""Number of tokens whose logits are computed at once. The logits of a whole batch would be by far its largest array."""


def token_log_probs(
    model: Transformer,
    params: Any,
    source: Int[Array, "batch source"],
    target_input: Int[Array, "batch target"],
    target_output: Int[Array, "batch target"],
    *,
    source_segments: Int[Array, "batch source"] | None = None,
    target_segments: Int[Array, "batch target"] | None = None,
    source_positions: Int[Array, "#batch source"] | None = None,
    target_positions: Int[Array, "#batch target"] | None = None,
) -> Float[Array, "batch target"]:
    """Returns the log-probability in nats of each token of `target_output`, given the tokens before it.

    It is never positive. At padding it has no meaning. `Transformer` describes the other arguments.
    """
    apply: Any = functools.partial(model.apply, {"params": params}, method="states_and_output_table")
    segments = dict(source_segments=source_segments, target_segments=target_segments)
    positions = dict(source_positions=source_positions, target_positions=target_positions)
    states, table = apply(source, target_input, **segments, **positions)
    return log_probs_of(states, table, target_output)


def log_probs_of(
    states: Float[Array, "batch target width"], table: Float[Array, "vocab width"], tokens: Int[Array, "batch target"]
) -> Float[Array, "batch target"]:
    """Returns the log-probability of each token, given logits states @ table.T; never positive."""
    narrow_table = table.astype(states.dtype)

    def at_position(inputs: tuple[Array, Array]) -> Float[Array, " batch"]:
        states, targets = inputs
        logits = jnp.einsum("bd,vd->bv", states, narrow_table, preferred_element_type=jnp.float32)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
        # Rounding must not make it positive.
        return jnp.minimum(chosen - jax.nn.logsumexp(logits, axis=1), 0.0)

    # Split along the target, so that rows sharded over devices stay where they are.
    positions = states.swapaxes(0, 1), tokens.T
    return lax.map(at_position, positions, batch_size=max(1, _TOKENS_AT_ONCE // states.shape[0])).T
