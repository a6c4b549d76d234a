"""A demonstration: a small Transformer learns the built-in English-German grammar.

    python train.py configs/demo.py

Training takes a few minutes on two CPU cores and reaches a test BLEU above 90.
"""

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig, TransformerConfig


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=TransformerConfig(
            num_encoder_layers=2,
            num_decoder_layers=2,
            d_model=128,
            d_ff=512,
            num_heads=4,
            d_k=32,
            d_v=32,
            dropout_rate=0.1,
        ),
        data=PairsConfig(
            corpus="grammar",
            grammar_size=60_000,
            vocab_size=2000,
            tokens_per_batch=2048,
            num_buckets=4,
        ),
        training=TrainingConfig(
            steps=1500,
            schedule="cosine",
            learning_rate=3e-3,
            warmup_steps=200,
            gradient_clip=1.0,
            label_smoothing=0.1,
            evaluate_every=500,
            bleu_sentences=200,
            checkpoint_every=500,
            keep_last=3,
        ),
        decoding=DecodingConfig(beam_size=4),
    )
