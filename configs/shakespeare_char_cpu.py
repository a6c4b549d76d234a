"""Shakespeare by characters, in minutes on a CPU: nanoGPT's recipe for a CPU with three times the learning rate.

    python train.py configs/shakespeare_char_cpu.py --data.files input.txt
    tfmr evaluate runs/shakespeare_char_cpu
    tfmr generate runs/shakespeare_char_cpu --prompt "ROMEO:" --window

input.txt is the tiny Shakespeare corpus of 1.1 MB. nanoGPT publishes a validation loss of 1.88, estimated on 20 batches
of 12 random crops. `crop_loss` is the same estimate. `loss` is the loss of the whole validation text, which is the last
tenth of the corpus. With nanoGPT's learning rate, `--training.learning-rate 1e-3`, the loss is about 1.91 here and 1.90
in PyTorch.
"""

from tfmr import Config, RunningTextConfig, TrainingConfig
from tfmr.config.presets import characters_small


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=characters_small(),
        data=RunningTextConfig(
            files=("input.txt",),
            validation_share=0.1,
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
