"""The models that are built from `tfmr.nn`."""

from tfmr.config import TransformerConfig
from tfmr.models.transformer import DecodingCache, Transformer

__all__ = ["DecodingCache", "Transformer", "TransformerConfig"]
