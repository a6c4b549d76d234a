"""The models built from `tfmr.nn`."""

from tfmr.config import CausalLMConfig, ModelConfig, TransformerConfig
from tfmr.config.presets import (
    TABLE_3,
    Table3Row,
    characters,
    characters_small,
    gpt2_large,
    gpt2_medium,
    gpt2_small,
    gpt2_xl,
    gpt3,
    t5_small,
    transformer_base,
    transformer_big,
)
from tfmr.models.causal_lm.model import CausalLM
from tfmr.models.likelihood import log_probs_of, token_log_probs
from tfmr.models.model import Account, Model, abstract_params, build_model, init_params, register_model
from tfmr.models.trainable import Trainable
from tfmr.models.transformer.model import DecodingCache, Transformer

__all__ = [
    "TABLE_3",
    "Account",
    "CausalLM",
    "CausalLMConfig",
    "DecodingCache",
    "Model",
    "ModelConfig",
    "Table3Row",
    "Trainable",
    "Transformer",
    "TransformerConfig",
    "abstract_params",
    "build_model",
    "characters",
    "characters_small",
    "gpt2_large",
    "gpt2_medium",
    "gpt2_small",
    "gpt2_xl",
    "gpt3",
    "init_params",
    "log_probs_of",
    "register_model",
    "t5_small",
    "token_log_probs",
    "transformer_base",
    "transformer_big",
]
