"""A Transformer as the step of a search."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.models import Transformer
from tfmr.nn.stacks import unstack_layers
from tfmr.search.search import Cache, Step, StepOutput


class Member(NamedTuple):
    """A model without `scan_layers`, and its parameters."""

    model: Transformer
    params: dict

    @classmethod
    def of(cls, model: Transformer, params: dict) -> "Member":
        """Returns a member, with the layers unstacked if the model scans them."""
        if not model.config.scan_layers:
            return cls(model, params)
        return cls(Transformer(dataclasses.replace(model.config, scan_layers=False)), unstack_layers(params))


def model_step(
    model: Transformer,
    params: dict,
    source: Int[Array, "batch source"],
    source_segments: Int[Array, "batch source"],
    max_length: int,
    beam_size: int = 1,
    attention: bool = False,
) -> tuple[Step, Cache]:
    """Encodes the source; returns the decoder's step and the initial cache of a search.

    All hypotheses of a sentence share one row of the cache. They share the keys and values of the source, and each
    attends to those keys and values of the target that belong to its own past.

    Args:
      model: must not have `scan_layers`.
      params: its parameters.
      source: token ids.
      source_segments: 1, and 0 for padding.
      max_length: the number of tokens of the longest output, static.
      beam_size: the number of hypotheses for each sentence.
      attention: also return the last layer's attention to the source, averaged over heads.
    """
    apply: Any = functools.partial(model.apply, {"params": params})
    memory = apply(source, source_segments=source_segments, method="encode")
    slots = max_length * beam_size
    start = apply(memory, slots, source_segments=source_segments, method="start_cache")

    def step(tokens, origins, cache, position):
        if tokens.shape[1] < beam_size:  # the first step of a beam search, which has one hypothesis in each row
            self_mask, cache = None, cache.resized(1)
        else:
            # The cache is ordered by position, then by slot of the beam.
            own = origins[..., None] == jnp.arange(beam_size)
            past = (jnp.arange(max_length) <= position)[:, None]
            self_mask = (own & past).reshape(-1, 1, beam_size, slots)
        decode = functools.partial(apply, tokens, cache, position, self_mask=self_mask, method="decode_beam_step")
        if not attention:
            logits, cache = decode()
            return StepOutput(logits, cache.resized(slots))
        (logits, cache), sown = decode(mutable="intermediates")
        weights = _last_attention(model, sown["intermediates"], cache.cross_mask)
        return StepOutput(logits, cache.resized(slots), weights)

    return step, start


def _last_attention(
    model: Transformer, sown: dict, cross_mask: Bool[Array, "batch 1 1 source"]
) -> Float[Array, "batch beam source"]:
    """Returns the last layer's cross-attention. It is 1 for padding, so that padding has no coverage penalty."""
    layer = sown["decoder"][f"layer_{model.config.num_decoder_layers - 1}"]
    (weights,) = layer["cross_attention"]["attention_weights"]
    return jnp.where(cross_mask[:, 0], weights.mean(axis=1), 1.0)
