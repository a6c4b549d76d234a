"""What all models of tokens share: the shape of their layers, and embeddings with positions."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from tfmr.nn import Dropout, LayerConfig, LearnedPositions, TokenEmbedding, sinusoidal_positions
from tfmr.nn.stacks import ACTIVATION_AXES


def layer_config(config: Any, **options: Any) -> LayerConfig:
    """Returns the shape of a model's layers: the fields of `LayerConfig` that its configuration has, and `options`."""
    names = [field.name for field in dataclasses.fields(LayerConfig) if hasattr(config, field.name)]
    shared: dict[str, Any] = {name: getattr(config, name) for name in names}
    shared["dtype"] = jnp.dtype(config.dtype)
    return LayerConfig(**shared | options)


def token_embedding(config: Any, **options: Any) -> TokenEmbedding:
    """Returns a new token embedding for a model; `options` are fields of `TokenEmbedding`.

    Raises:
      ValueError: if the vocabulary has no size yet.
    """
    if config.vocab_size == 0:
        raise ValueError(f"{type(config).__name__}.vocab_size is 0: set it to the tokenizer's vocab_size")
    return TokenEmbedding(config.vocab_size, config.d_model, jnp.dtype(config.dtype), **options)


def embed(
    tokens: Int[Array, "batch length"],
    positions: Int[Array, "#batch length"] | None,
    embedding: TokenEmbedding,
    learned_positions: LearnedPositions | None,
    dropout: Dropout,
    *,
    deterministic: bool,
) -> Float[Array, "batch length d_model"]:
    """Returns the sum of token embeddings and position encodings, after dropout (sections 3.4, 3.5 and 5.4).

    No `positions`: 0, 1, 2, ... No `learned_positions`: sinusoids.
    """
    if positions is None:
        positions = jnp.arange(tokens.shape[-1])[None, :]
    if learned_positions is None:
        position_vectors = sinusoidal_positions(positions, embedding.d_model)
    else:
        position_vectors = learned_positions(positions)
    x = embedding(tokens) + position_vectors.astype(embedding.dtype)
    return nn.with_logical_constraint(dropout(x, deterministic=deterministic), ACTIVATION_AXES)
