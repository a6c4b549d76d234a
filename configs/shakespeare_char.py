"""Shakespeare by characters: nanoGPT's recipe for an accelerator.

    python train.py configs/shakespeare_char.py --data.files input.txt

input.txt is the tiny Shakespeare corpus of 1.1 MB. nanoGPT publishes a validation loss of 1.4697, the best of 21
evaluations on 200 batches of 64 random crops each. `crop_loss` is the same estimate. `loss` is the loss of the whole
validation text, which is the last tenth of the corpus.
"""

from tfmr import Config, RunningTextConfig, TrainingConfig
from tfmr.config.presets import characters


def get_config() -> Config:
    """Returns the configuration."""
    return Config(
        model=characters(),
        data=RunningTextConfig(
            files=("input.txt",),
            validation_share=0.1,
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
