"""The Transformer of *Attention Is All You Need* in JAX and Flax Linen.

`tfmr.nn` contains the paper's blocks and `tfmr.models` the models built from them. `tfmr.training.fit` trains what a
`Config` describes; `tfmr.translation.Translator` and `tfmr.language_model.Generator` use the result.
"""

from tfmr.config import (
    CausalLMConfig,
    Config,
    DataConfig,
    DecodingConfig,
    DistributedConfig,
    FineTuningConfig,
    GenerationConfig,
    MeshConfig,
    ModelConfig,
    PairsConfig,
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
    "FineTuningConfig",
    "GenerationConfig",
    "MeshConfig",
    "ModelConfig",
    "PairsConfig",
    "RunningTextConfig",
    "SamplingConfig",
    "TrainingConfig",
    "TransformerConfig",
    "__version__",
]
