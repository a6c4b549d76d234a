"""GPT-3 (Brown et al. 2020): 175 billion parameters, for `tfmr inspect` rather than for training.

    tfmr inspect configs/gpt3.py --chip v5p --chips 1024

The shape and the training are those of table 2.1 and appendix B. All layers use dense attention; those of GPT-3
alternate with sparse ones.
"""

import dataclasses

from tfmr import Config, RunningTextConfig, TrainingConfig
from tfmr.config.presets import gpt3

TOKENS_PER_BATCH = 3_200_000


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=dataclasses.replace(gpt3(), scan_layers=True, remat=True, dtype="bfloat16"),
        data=RunningTextConfig(
            vocab_size=50_257, batching="blocks", max_length=2048, tokens_per_batch=TOKENS_PER_BATCH
        ),
        training=TrainingConfig(
            steps=300_000_000_000 // TOKENS_PER_BATCH,
            schedule="cosine",
            learning_rate=0.6e-4,
            final_learning_rate=0.6e-5,
            warmup_steps=375_000_000 // TOKENS_PER_BATCH,
            adam_b2=0.95,
            adam_epsilon=1e-8,
            weight_decay=0.1,
            gradient_clip=1.0,
            label_smoothing=0.0,
        ),
    )
