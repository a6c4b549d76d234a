"""A Transformer as the step that a search repeats."""

import functools
from typing import Any

import jax
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
    copies: int = 1,
) -> tuple[Step, Cache]:
    """Encodes the source; returns the decoder's step and the cache that a search starts from.

    The cache is the decoder's self-attention alone, one row for each sentence. What comes from the source is the same
    for all of a sentence's hypotheses, so it stays in the step and is never reordered.

    Args:
      model: without `scan_layers`.
      params: its parameters.
      source: token ids.
      source_segments: 1, and 0 for padding.
      max_length: longest output in tokens, static.
      copies: rows that the step gets for each sentence.
    """
    apply: Any = functools.partial(model.apply, {"params": params})
    memory = apply(source, source_segments, method="encode")
    empty = apply(memory, source_segments, max_length, method="start_cache")
    repeated = jax.tree.map(lambda x: jnp.repeat(x, copies, axis=0), empty)

    def step(tokens, cache, position):
        layers = tuple(layer.replace(self_attention=own) for layer, own in zip(repeated.layers, cache, strict=True))
        logits, written = apply(tokens, repeated.replace(layers=layers), position, method="decode_step")
        return logits, tuple(layer.self_attention for layer in written.layers)

    return step, tuple(layer.self_attention for layer in empty.layers)
