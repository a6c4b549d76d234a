"""A Transformer as the step that a search repeats."""

import functools
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

from tfmr.decoding.search import Cache, Step
from tfmr.models import Transformer


def model_step(
    model: Transformer,
    params: dict,
    source: Int[Array, "batch source"],
    source_segments: Int[Array, "batch source"],
    max_length: int,
    beam_size: int = 1,
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
    """
    apply: Any = functools.partial(model.apply, {"params": params})
    memory = apply(source, source_segments, method="encode")
    start = apply(memory, source_segments, max_length * beam_size, method="start_cache")

    def step(tokens, origins, cache, position):
        # The cache holds position by position, and in each the places of the beam.
        own = origins[..., None] == jnp.arange(beam_size)
        past = (jnp.arange(max_length) <= position)[:, None]
        self_mask = (own & past).reshape(-1, 1, beam_size, max_length * beam_size)
        return apply(tokens, cache, position, self_mask, method="decode_beam_step")

    return step, start
