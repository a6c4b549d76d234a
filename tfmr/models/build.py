"""A model from its configuration, whatever kind it is."""

from typing import Any

import jax.numpy as jnp

from tfmr.config import CausalLMConfig, ModelConfig
from tfmr.models.causal_lm import CausalLM
from tfmr.models.transformer import Transformer

Model = Transformer | CausalLM


def build_model(config: ModelConfig) -> Model:
    """Returns the model that a configuration describes."""
    return CausalLM(config) if isinstance(config, CausalLMConfig) else Transformer(config)


def init_params(model: Model, key: Any) -> Any:
    """Returns a model's initial parameters, boxed with their logical axis names."""
    token = jnp.ones((1, 1), jnp.int32)
    number = 4 if isinstance(model, Transformer) else 1
    return model.init(key, *number * [token])["params"]
