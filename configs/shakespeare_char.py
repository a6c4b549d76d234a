"""Shakespeare, character by character: nanoGPT's recipe, for an accelerator.

    python train.py configs/shakespeare_char.py --data.files input.txt

nanoGPT publishes a validation loss of 1.4697, the best of 21 evaluations, each on 200 batches of 64 random crops; here
`crop_loss` is that estimate, and `loss` is that of the whole validation text, its last tenth.
"""

from tfmr import CausalLMConfig, Config, RunningTextConfig, TrainingConfig


def get_config() -> Config:
    """Returns the recipe."""
    return Config(
        model=CausalLMConfig(
            num_layers=6,
            num_heads=6,
            d_model=384,
            d_k=64,
            d_v=64,
            d_ff=1536,
            max_length=256,
            dropout_rate=0.2,
            attention_dropout_rate=0.2,
            bias=False,
        ),
        data=RunningTextConfig(
            files=("input.txt",),
            tokenizer="characters",
            vocab_size=1000,
            batching="crops",
            max_length=256,
            tokens_per_batch=64 * 256,
            evaluation_crops=200 * 64,
        ),
        training=TrainingConfig(
            steps=5000,
            schedule="cosine",
            learning_rate=1e-3,
            final_learning_rate=1e-4,
            warmup_steps=100,
            adam_b2=0.99,
            adam_epsilon=1e-8,
            weight_decay=0.1,
            gradient_clip=1.0,
            label_smoothing=0.0,
            loss_chunk=4096,
            evaluate_every=250,
            checkpoint_every=500,
            keep_last=1,
        ),
    )
