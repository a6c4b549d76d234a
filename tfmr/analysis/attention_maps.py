"""What each head looks at: the attention weights of a model, as numbers (section 3.2)."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tfmr.config import ModelConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.models import build_model


def attention_weights(
    config: ModelConfig, params: Any, *tokens: Sequence[int]
) -> dict[str, Float[np.ndarray, "heads query key"]]:
    """Returns the attention weights of every layer on one pair of sentences, or of a language model on one text.

    Args:
      config: the shape of the model, looped or scanned.
      params: its parameters, without logical names.
      *tokens: token ids of the source, as the model was trained on it (with its end mark), and those that the decoder
        reads (with its begin mark). Of a language model those of the text alone.

    Returns:
      The weights by name: `encoder/layer_0/self_attention`, `decoder/layer_0/self_attention`,
      `decoder/layer_0/cross_attention`, ... A language model has `decoder/layer_0/self_attention`, ... alone. The
      weights of a query sum to 1.

    Raises:
      InputError: if there are more tokens than learned positions, or none.
    """
    for ids in tokens:
        if not len(ids) or (config.positions == "learned" and len(ids) > config.max_length):
            most = f" and at most {config.max_length}" if config.positions == "learned" else ""
            raise InputError(f"a text of {len(ids)} tokens: attention needs at least 1{most}")
    inputs = [array for ids in tokens for array in _with_segments(ids)]
    _, sown = build_model(config).apply({"params": params}, *inputs, mutable=["intermediates"])
    maps = {}
    for stack, num_layers in _stacks(config).items():
        layers = sown["intermediates"][stack]
        for i in range(num_layers):
            layer = layers["layers" if config.scan_layers else f"layer_{i}"]
            for name in ("self_attention", "cross_attention"):
                if name in layer:
                    (weights,) = layer[name]["attention_weights"]
                    weights = weights[i] if config.scan_layers else weights
                    maps[f"{stack}/layer_{i}/{name}"] = np.asarray(weights[0])
    return maps


def _with_segments(ids: Sequence[int]) -> tuple[jnp.ndarray, jnp.ndarray]:
    tokens = jnp.asarray(ids, jnp.int32)[None]
    return tokens, jnp.ones_like(tokens)


def _stacks(config: ModelConfig) -> dict[str, int]:
    """Returns the number of layers of each stack."""
    if isinstance(config, TransformerConfig):
        return {"encoder": config.num_encoder_layers, "decoder": config.num_decoder_layers}
    return {"decoder": config.num_layers}
