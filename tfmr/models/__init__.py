"""The models that are built from `tfmr.nn`."""

from tfmr.config import CausalLMConfig, ModelConfig, TransformerConfig
from tfmr.models.build import Model, build_model, init_params
from tfmr.models.causal_lm import CausalLM
from tfmr.models.language_models import (
    characters,
    characters_small,
    gpt2_large,
    gpt2_medium,
    gpt2_small,
    gpt2_xl,
    gpt3,
)
from tfmr.models.likelihood import log_of_mean, log_probs_of, token_log_probs
from tfmr.models.presets import TABLE_3, Table3Row, transformer_base, transformer_big
from tfmr.models.transformer import DecodingCache, Transformer

__all__ = [
    "TABLE_3",
    "CausalLM",
    "CausalLMConfig",
    "DecodingCache",
    "Model",
    "ModelConfig",
    "Table3Row",
    "Transformer",
    "TransformerConfig",
    "build_model",
    "characters",
    "characters_small",
    "gpt2_large",
    "gpt2_medium",
    "gpt2_small",
    "gpt2_xl",
    "gpt3",
    "init_params",
    "log_of_mean",
    "log_probs_of",
    "token_log_probs",
    "transformer_base",
    "transformer_big",
]
