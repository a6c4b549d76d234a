"""What a model says of a given target: the log-probability of each of its tokens."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from tfmr.models.transformer.model import Transformer

_TOKENS_AT_ONCE = 512
"""Tokens whose logits exist at once: all of a batch's, times a large vocabulary, would be its largest array by far."""


def token_log_probs(
    model: Transformer,
    params: Any,
    source: Int[Array, "batch source"],
    source_segments: Int[Array, "batch source"],
    target_input: Int[Array, "batch target"],
    target_output: Int[Array, "batch target"],
    target_segments: Int[Array, "batch target"],
    source_positions: Int[Array, "batch source"] | None = None,
    target_positions: Int[Array, "batch target"] | None = None,
) -> Float[Array, "batch target"]:
    """Returns the log-probability in nats of each token of `target_output` after those before it; never positive.

    Args:
      model: the Transformer.
      params: its parameters.
      source: token ids, with their end mark.
      source_segments: 0 for padding, 1, 2, ... for the sentences of a row.
      target_input: `target_output` moved one place to the right behind the begin mark.
      target_output: token ids. Where there is padding the result means nothing.
      target_segments: as `source_segments`.
      source_positions: None: 0, 1, 2, ...
      target_positions: None: 0, 1, 2, ...
    """
    apply: Any = model.apply
    states, table = apply(
        {"params": params},
        source,
        source_segments,
        target_input,
        target_segments,
        source_positions,
        target_positions,
        method="states_and_output_table",
    )
    return log_probs_of(states, table, target_output)


def log_probs_of(
    states: Float[Array, "batch target width"], table: Float[Array, "vocab width"], tokens: Int[Array, "batch target"]
) -> Float[Array, "batch target"]:
    """Returns the log-probability of a token at each place, where the logits are states @ table.T; never positive."""
    narrow_table = table.astype(states.dtype)

    def of_place(place: tuple[Array, Array]) -> Float[Array, " batch"]:
        states, targets = place
        logits = jnp.einsum("bd,vd->bv", states, narrow_table, preferred_element_type=jnp.float32)
        chosen = jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
        # Rounding must not make it positive.
        return jnp.minimum(chosen - jax.nn.logsumexp(logits, axis=1), 0.0)

    # Cut along the target, so that rows that are spread over devices stay where they are.
    places = states.swapaxes(0, 1), tokens.T
    return lax.map(of_place, places, batch_size=max(1, _TOKENS_AT_ONCE // states.shape[0])).T
