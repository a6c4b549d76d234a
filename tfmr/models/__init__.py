"""The models that are built from `tfmr.nn`."""

from tfmr.config import TransformerConfig
from tfmr.models.likelihood import log_of_mean, token_log_probs
from tfmr.models.presets import TABLE_3, Table3Row, transformer_base, transformer_big
from tfmr.models.transformer import DecodingCache, Transformer

__all__ = [
    "TABLE_3",
    "DecodingCache",
    "Table3Row",
    "Transformer",
    "TransformerConfig",
    "log_of_mean",
    "token_log_probs",
    "transformer_base",
    "transformer_big",
]
