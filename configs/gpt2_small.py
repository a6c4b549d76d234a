"""GPT-2 small, 124 million parameters, on your own text.

    python train.py configs/gpt2_small.py --data.files 'corpus/*.txt.zst' --training.steps 20000

The batch is for 8 GPUs or a TPU v5e-8, with 8 rows of 1024 tokens on each device at a time. Its size, the learning
rates and the optimizer are those of nanoGPT's reproduction of GPT-2, which trains for 600,000 steps on OpenWebText. An
epoch of a text of 500 MB has about 230 steps. For small texts, lower --training.steps and raise --model.dropout-rate.
"""

import dataclasses

from tfmr import Config, RunningTextConfig, TrainingConfig
from tfmr.config.presets import gpt2_small

ACCUMULATION = 8
TOKENS_PER_BATCH = ACCUMULATION * 8 * 8 * 1024


def get_config() -> Config:
    """Returns the configuration."""
    # The largest vocabulary is a multiple of 128, as TPUs and GPUs multiply. GPT-2 itself has 50 257 tokens.
    model = dataclasses.replace(
        gpt2_small(), vocab_size=0, dropout_rate=0.0, attention_dropout_rate=0.0, dtype="bfloat16"
    )
    return Config(
        model=model,
        data=RunningTextConfig(
            vocab_size=50_304, batching="blocks", max_length=1024, tokens_per_batch=TOKENS_PER_BATCH
        ),
        training=TrainingConfig(
            steps=600_000,
            schedule="cosine",
            learning_rate=6e-4,
            final_learning_rate=6e-5,
            warmup_steps=2000,
            adam_b2=0.95,
            adam_epsilon=1e-8,
            weight_decay=0.1,
            gradient_clip=1.0,
            accumulation=ACCUMULATION,
            label_smoothing=0.0,
            log_every=10,
            evaluate_every=1000,
            checkpoint_every=1000,
            keep_last=2,
        ),
    )
