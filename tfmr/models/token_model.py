"""What all models of tokens share: the shape of their layers, and embeddings with positions."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from tfmr.nn import Dropout, LayerConfig, LayerNorm, LearnedPositions, TokenEmbedding
from tfmr.nn.embedding import SINUSOIDS
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


def position_encoding(config: Any, initializer: Callable[..., Any] | None = None) -> Callable[[Array], Array]:
    """Returns the position encoding of a model: a new table of learned positions, or a function."""
    if config.positions == "learned":
        return LearnedPositions(config.max_length, config.d_model, initializer)
    return functools.partial(SINUSOIDS[config.positions], d_model=config.d_model)


def embed(
    tokens: Int[Array, "batch length"],
    positions: Int[Array, "#batch length"] | None,
    embedding: TokenEmbedding,
    position_encoding: Callable[[Array], Array] | None,
    dropout: Dropout,
    *,
    norm: LayerNorm | None = None,
    deterministic: bool,
) -> Float[Array, "batch length d_model"]:
    """Returns the sum of token embeddings and position encodings, after dropout (sections 3.4, 3.5 and 5.4).

    Args:
      tokens: token ids.
      positions: their positions; None: 0, 1, 2, ...
      embedding: the embedding of tokens.
      position_encoding: the vectors of positions, from `position_encoding`; None: no vectors are added.
      dropout: the dropout.
      norm: a norm of the sum, before dropout.
      deterministic: False applies dropout.
    """
    x = embedding(tokens)
    if position_encoding is not None:
        positions = jnp.arange(tokens.shape[-1])[None, :] if positions is None else positions
        x = x + position_encoding(positions).astype(embedding.dtype)
    x = x if norm is None else norm(x)
    return nn.with_logical_constraint(dropout(x, deterministic=deterministic), ACTIVATION_AXES)
