"""Multi30k English to German, the "Transformer-Tiny" of Wu et al. 2021: 41.02 BLEU on test_2016_flickr.

    python train.py configs/multi30k_en_de.py --data.dir FOLDER

The published figure is on the lowercased, tokenised files; `--data.variant raw` trains on the captions as written.
"""

from tfmr import Config, DataConfig, DecodingConfig, TrainingConfig, TransformerConfig


def get_config() -> Config:
    """Returns the recipe."""
    return Config(
        model=TransformerConfig(
            num_encoder_layers=4,
            num_decoder_layers=4,
            d_model=128,
            d_ff=256,
            num_heads=4,
            d_k=32,
            d_v=32,
            dropout_rate=0.3,
        ),
        data=DataConfig(
            corpus="multi30k",
            variant="tok",
            vocab_size=10_000,
            tokens_per_batch=8192,
            num_buckets=6,
        ),
        training=TrainingConfig(
            steps=8000,
            schedule="inverse_sqrt",
            learning_rate=0.005,
            warmup_steps=2000,
            adam_epsilon=1e-8,
            gradient_clip=25.0,
            label_smoothing=0.1,
            evaluate_every=256,
            bleu_sentences=-1,
            checkpoint_every=64,  # an epoch
            keep_last=10,
            best_metric="bleu",
        ),
        decoding=DecodingConfig(beam_size=5, length_penalty="power", alpha=1.0),
    )
