"""The Transformer of *Attention Is All You Need* in JAX and Flax Linen.

`tfmr.nn` holds the paper's blocks, `tfmr.models` what is built from them,
`tfmr.training.train` runs a `Config`, `tfmr.decoding.Translator` uses the result.
"""

from tfmr.config import (
    CausalLMConfig,
    Config,
    DataConfig,
    DecodingConfig,
    DistributedConfig,
    GenerationConfig,
    MeshConfig,
    RunningTextConfig,
    SamplingConfig,
    TrainingConfig,
    TransformerConfig,
)

__version__ = "0.1.0"

__all__ = [
    "CausalLMConfig",
    "Config",
    "DataConfig",
    "DecodingConfig",
    "DistributedConfig",
    "GenerationConfig",
    "MeshConfig",
    "RunningTextConfig",
    "SamplingConfig",
    "TrainingConfig",
    "TransformerConfig",
    "__version__",
]
