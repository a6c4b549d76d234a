"""Shakespeare, character by character, in minutes on a CPU: nanoGPT's recipe for one, at three times its rate.

    python train.py configs/shakespeare_char_cpu.py --data.files input.txt
    tfmr evaluate runs/shakespeare_char_cpu
    tfmr generate runs/shakespeare_char_cpu --prompt "ROMEO:" --window

input.txt is Karpathy's 1.1 MB of Shakespeare. nanoGPT publishes a validation loss of 1.88, estimated on 20 batches of
12 random crops; here `crop_loss` is that estimate, and `loss` is that of the whole validation text, its last tenth.
Its rate, `--training.learning-rate 1e-3`, gives about 1.91 here and 1.90 in PyTorch; so small a model learns faster.
"""

from tfmr import CausalLMConfig, Config, RunningTextConfig, TrainingConfig


def get_config() -> Config:
    """Returns the recipe."""
    return Config(
        model=CausalLMConfig(
            num_layers=4,
            num_heads=4,
            d_model=128,
            d_k=32,
            d_v=32,
            d_ff=512,
            max_length=64,
            dropout_rate=0.0,
            attention_dropout_rate=0.0,
            bias=False,
        ),
        data=RunningTextConfig(
            files=("input.txt",),
            tokenizer="characters",
            vocab_size=1000,
            batching="crops",
            max_length=64,
            tokens_per_batch=12 * 64,
            evaluation_crops=20 * 12,
        ),
        training=TrainingConfig(
            steps=2000,
            schedule="cosine",
            learning_rate=3e-3,
            final_learning_rate=1e-4,
            warmup_steps=100,
            adam_b2=0.99,
            adam_epsilon=1e-8,
            weight_decay=0.1,
            gradient_clip=1.0,
            label_smoothing=0.0,
            loss_chunk=1024,
            evaluate_every=250,
            checkpoint_every=500,
            keep_last=1,
        ),
    )
