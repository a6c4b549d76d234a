"""GPT-3 (Brown et al. 2020), as an account: 175 billion parameters, which nobody trains from here.

    tfmr inspect configs/gpt3.py --chip v5p --chips 1024

Sizes and training are those of its tables 2.1 and appendix B; its attention is dense here, theirs is partly sparse.
"""

from tfmr import CausalLMConfig, Config, RunningTextConfig, TrainingConfig

TOKENS_PER_BATCH = 3_200_000


def get_config() -> Config:
    """Returns the recipe."""
    return Config(
        model=CausalLMConfig(
            vocab_size=50_257,
            num_layers=96,
            num_heads=96,
            d_model=12_288,
            d_k=128,
            d_v=128,
            d_ff=49_152,
            max_length=2048,
            dropout_rate=0.0,
            attention_dropout_rate=0.0,
            scan_layers=True,
            remat=True,
            dtype="bfloat16",
        ),
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
