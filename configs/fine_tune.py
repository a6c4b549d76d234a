"""Fine-tunes a translation model on your own sentences; see docs/fine_tuning.md.

    python train.py configs/fine_tune.py --init-from RUN --data.source-file corpus.en --data.target-file corpus.de

The shape of the model and its tokenizer come from RUN.
"""

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig, TransformerConfig


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=TransformerConfig(dropout_rate=0.1),
        data=PairsConfig(corpus="text", tokens_per_batch=2048, num_buckets=4),
        training=TrainingConfig(
            steps=500,
            schedule="cosine",
            learning_rate=3e-4,
            warmup_steps=50,
            gradient_clip=1.0,
            evaluate_every=100,
            bleu_sentences=200,
            checkpoint_every=100,
            keep_last=3,
        ),
        decoding=DecodingConfig(beam_size=4),
    )
