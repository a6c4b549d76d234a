"""The attention weights of a model as numbers (section 3.2)."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tfmr.config import ModelConfig
from tfmr.errors import InputError
from tfmr.models import build_model
from tfmr.nn import unstack_layers


def attention_weights(
    config: ModelConfig, params: Any, *tokens: Sequence[int]
) -> dict[str, Float[np.ndarray, "heads query key"]]:
    """Returns the attention weights of every layer for one pair of sentences, or for one text of a language model.

    Args:
      config: the model's configuration, with or without scanned layers.
      params: its parameters, without logical axis names.
      *tokens: the token ids of the source including EOS, then those that the decoder reads including BOS. For a
        language model, the token ids of the text only.

    Returns:
      The weights by name: `encoder/layer_0/self_attention`, `decoder/layer_0/self_attention`,
      `decoder/layer_0/cross_attention`, ... A language model only has `decoder/layer_0/self_attention`, ... The weights
      of a query sum to 1.

    Raises:
      InputError: if a sequence is empty or has more tokens than the model has positions.
    """
    longest = config.longest_sequence
    for ids in tokens:
        if not len(ids) or (longest is not None and len(ids) > longest):
            limit = f" and at most {longest}" if longest is not None else ""
            raise InputError(f"text of {len(ids)} tokens: must have at least 1{limit}")
    inputs = [jnp.asarray(ids, jnp.int32)[None] for ids in tokens]
    stacks = _intermediates(config, params, *inputs)
    return {
        f"{stack}/layer_{i}/{name}": np.asarray(stacks[stack][f"layer_{i}"][name]["attention_weights"][0][0])
        for stack in ("encoder", "decoder")
        for i in range(len(stacks.get(stack, ())))
        for name in ("self_attention", "cross_attention")
        if name in stacks[stack][f"layer_{i}"]
    }


@functools.partial(jax.jit, static_argnums=0)
def _intermediates(config: ModelConfig, params: Any, *inputs: jax.Array) -> Any:
    _, state = build_model(config).apply({"params": params}, *inputs, mutable=["intermediates"])
    return unstack_layers(state["intermediates"])
