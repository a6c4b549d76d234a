"""Configurations: frozen dataclasses that check their values when they are created.

A recipe in `configs/` returns a `Config`; the command line overrides single fields (`--training.steps 4000`). This
package imports nothing but the standard library, so every other package can import it.
"""

from tfmr.config.causal_lm import CausalLMConfig
from tfmr.config.data import DataConfig, default_cache
from tfmr.config.decoding import DecodingConfig, GenerationConfig, SamplingConfig
from tfmr.config.devices import DistributedConfig, MeshConfig
from tfmr.config.fine_tuning import FineTuningConfig
from tfmr.config.model import ModelConfig
from tfmr.config.pairs import PairsConfig
from tfmr.config.run import (
    KINDS,
    Config,
    config_from_dict,
    config_to_dict,
    model_from_dict,
    model_to_dict,
    register_kind,
)
from tfmr.config.running_text import RunningTextConfig
from tfmr.config.serving import ServingConfig
from tfmr.config.training import TrainingConfig
from tfmr.config.transformer import TransformerConfig

__all__ = [
    "KINDS",
    "CausalLMConfig",
    "Config",
    "DataConfig",
    "DecodingConfig",
    "DistributedConfig",
    "FineTuningConfig",
    "GenerationConfig",
    "MeshConfig",
    "ModelConfig",
    "PairsConfig",
    "RunningTextConfig",
    "SamplingConfig",
    "ServingConfig",
    "TrainingConfig",
    "TransformerConfig",
    "config_from_dict",
    "config_to_dict",
    "default_cache",
    "model_from_dict",
    "model_to_dict",
    "register_kind",
]
