"""WMT 2014 English-French with the paper's big model (Table 2: 41.8 BLEU, tokenised).

    python train.py configs/wmt14_en_fr_big.py --data.dir FOLDER

FOLDER is the folder in which tensorflow-datasets finds or saves the archives of wmt14_translate/fr-en. The paper trains
for 300 000 steps of about 25 000 source and 25 000 target tokens on 8 GPUs, and averages the last 20 checkpoints, which
are 10 minutes apart: `tfmr average RUN --last 20`.
"""

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig
from tfmr.config.presets import transformer_big


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=transformer_big(dropout_rate=0.1),
        data=PairsConfig(
            corpus="wmt14_translate/fr-en",
            source_language="en",
            target_language="fr",
            tokenizer="wordpiece",
            vocab_size=32_000,
            tokens_per_batch=25_000,
            num_buckets=16,
        ),
        training=TrainingConfig(
            steps=300_000,
            schedule="noam",
            warmup_steps=4000,
            label_smoothing=0.1,
            log_every=100,
            evaluate_every=5000,
            checkpoint_every=1500,
            keep_last=20,
        ),
        decoding=DecodingConfig(beam_size=4, alpha=0.6),
    )
