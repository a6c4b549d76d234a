"""A Transformer as the step that a search repeats."""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.models import Transformer
from tfmr.search.search import Cache, Step, StepOutput


class Member(NamedTuple):
    """A model and its parameters."""

    model: Transformer
    params: dict


def model_step(
    model: Transformer,
    params: dict,
    source: Int[Array, "batch source"],
    source_segments: Int[Array, "batch source"],
    max_length: int,
    beam_size: int = 1,
    attention: bool = False,
) -> tuple[Step, Cache]:
    """Encodes the source; returns the decoder's step and the cache that a search starts from.

    A sentence's hypotheses share one row of the cache: what comes from the source is the same for all, and each of its
    keys and values of the target is looked at by those whose past it is.

    Args:
      model: without `scan_layers`.
      params: its parameters.
      source: token ids.
      source_segments: 1, and 0 for padding.
      max_length: longest output in tokens, static.
      beam_size: hypotheses for each sentence.
      attention: also give where the last layer looked in the source, the mean over its heads.
    """
    apply: Any = functools.partial(model.apply, {"params": params})
    memory = apply(source, source_segments, method="encode")
    start = apply(memory, source_segments, max_length * beam_size, method="start_cache")

    def step(tokens, origins, cache, position):
        # The cache holds position by position, and in each the places of the beam.
        own = origins[..., None] == jnp.arange(beam_size)
        past = (jnp.arange(max_length) <= position)[:, None]
        self_mask = (own & past).reshape(-1, 1, tokens.shape[1], max_length * beam_size)
        arguments = (tokens, cache, position, self_mask)
        if not attention:
            return StepOutput(*apply(*arguments, method="decode_beam_step"))
        output, sown = apply(*arguments, method="decode_beam_step", mutable="intermediates")
        return StepOutput(*output, attention=_last_attention(model, sown["intermediates"], cache.cross_mask))

    return step, start


def _last_attention(
    model: Transformer, sown: dict, cross_mask: Bool[Array, "batch 1 1 source"]
) -> Float[Array, "batch beam source"]:
    """Returns the last layer's cross-attention; padding, where nothing is to be seen, counts as fully attended to."""
    layer = sown["decoder"][f"layer_{model.config.num_decoder_layers - 1}"]
    (weights,) = layer["cross_attention"]["attention_weights"]
    return jnp.where(cross_mask[:, 0], weights.mean(axis=1), 1.0)
