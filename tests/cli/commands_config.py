"""The configuration of a run that takes seconds."""

from tfmr import Config, DecodingConfig, PairsConfig, TrainingConfig, TransformerConfig

CONFIG = Config(
    model=TransformerConfig(
        num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=32, num_heads=2, d_k=8, d_v=8, dropout_rate=0.1
    ),
    data=PairsConfig(
        corpus="text", held_out_share=0.1, vocab_size=300, tokens_per_batch=256, num_buckets=1, max_length=64
    ),
    training=TrainingConfig(
        steps=4, warmup_steps=2, log_every=1, evaluate_every=2, bleu_sentences=2, checkpoint_every=2, loss_chunk=4096
    ),
    decoding=DecodingConfig(beam_size=2, extra_length=3, batch_size=4),
)
