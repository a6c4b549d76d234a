"""WMT 2014 English-German with the paper's base model (Table 2: 27.3 BLEU, tokenised and compound-split).

    python train.py configs/wmt14_en_de_base.py --data.dir FOLDER

FOLDER is the folder in which tensorflow-datasets finds or saves the archives of wmt14_translate/de-en. The batch is for
8 GPUs or a TPU v5e-8, with 96 packed rows of 256 source and 256 target tokens on each device; docs/launch.md has the
batches and learning rates of larger slices. The model sees as many tokens as the paper's: 100,000 updates of about
25,000 source and 25,000 target tokens. `tfmr average RUN --last 5` averages the last checkpoints, as the paper does.
"""

import dataclasses

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig
from tfmr.config.presets import transformer_base

TOKENS_PER_BATCH = 8 * 96 * 256


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=dataclasses.replace(transformer_base(), dtype="bfloat16"),
        data=PairsConfig(
            corpus="wmt14_translate/de-en",
            source_language="en",
            target_language="de",
            tokenizer="bpe",
            vocab_size=37_000,
            batching="packed",
            max_length=256,
            tokens_per_batch=TOKENS_PER_BATCH,
        ),
        training=TrainingConfig(
            steps=100_000 * 25_000 // TOKENS_PER_BATCH,
            schedule="inverse_sqrt",
            learning_rate=1e-3,
            warmup_steps=4000,
            label_smoothing=0.1,
            log_every=100,
            evaluate_every=1000,
            checkpoint_every=250,
            keep_last=5,
        ),
        decoding=DecodingConfig(beam_size=4, alpha=0.6),
    )
