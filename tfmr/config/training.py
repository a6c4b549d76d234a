"""Optimizer, schedule, evaluation and checkpoints."""

import re
from dataclasses import dataclass
from typing import Literal

from tfmr.config.checks import Checks


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained (section 5), and what is saved along the way."""

    steps: int = 100_000
    """Number of optimizer updates."""
    seed: int = 0
    """Random seed for the initial parameters and dropout."""
    schedule: Literal["noam", "inverse_sqrt", "cosine", "constant"] = "noam"
    """noam: the paper's schedule, learning_rate * d_model^-0.5 * min(step^-0.5, step * warmup^-1.5). inverse_sqrt:
    linear warmup to learning_rate, then learning_rate * sqrt(warmup / step). cosine: linear warmup, then half a cosine
    down to final_learning_rate at the last step. constant: linear warmup, then learning_rate."""
    learning_rate: float = 1.0
    """Peak learning rate; for noam, a factor that scales the paper's formula."""
    warmup_steps: int = 4000
    """Steps of linear warmup."""
    final_learning_rate: float = 0.0
    """Learning rate at the end of the cosine schedule."""
    adam_b1: float = 0.9
    """Adam's beta 1."""
    adam_b2: float = 0.98
    """Adam's beta 2."""
    adam_epsilon: float = 1e-9
    """Adam's epsilon."""
    weight_decay: float = 0.0
    """Decoupled weight decay of matrices; biases and norms are not decayed."""
    gradient_clip: float = 0.0
    """Maximum global norm of the gradient. 0 disables clipping."""
    accumulation: int = 1
    """Number of microbatches per batch. Their gradients are accumulated for a single update."""
    label_smoothing: float = 0.1
    """Probability mass that is spread uniformly over the vocabulary (section 5.4)."""
    loss_chunk: int = 0
    """Target tokens per device for which logits are computed at a time. 0: 512 on a CPU, and on other chips as many as
    have 512 MiB of logits."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the parameters. 0 disables it."""
    log_every: int = 20
    """Steps between lines in metrics.jsonl and on the terminal."""
    evaluate_every: int = 1000
    """Steps between evaluations on the validation split. 0: evaluate only at the end."""
    bleu_sentences: int = 500
    """Validation sentences to translate greedily for BLEU and chrF at each evaluation. 0 disables it, -1 translates
    all."""
    checkpoint_every: int = 1000
    """Steps between checkpoints. 0: save only before the first evaluation, at the end, and when stopped."""
    keep_last: int = 5
    """Number of newest checkpoints to keep."""
    keep_every: int = 0
    """Steps between checkpoints that are kept permanently, for averaging or as a history. 0 disables it."""
    profile_steps: str = ""
    """FIRST:LAST, such as 50:54: steps during which the devices are profiled. The profile is written to profile/ in the
    run directory, where xprof or TensorBoard opens it. Empty: none."""
    best_metric: str = "loss"
    """Validation metric that selects the best checkpoint: loss or, for translation only, bleu or chrf."""
    patience: int = 0
    """Number of evaluations without improvement in best_metric after which training stops. 0 disables it."""

    corpus_may_change: bool = False
    """Continue a run even if its corpus has changed. metrics.jsonl records the change, and earlier evaluations no
    longer count for the best checkpoint."""

    def __post_init__(self):
        check = Checks("training", self)
        check.positive("steps", "learning_rate", "adam_epsilon", "accumulation", "log_every", "keep_last")
        check.share("adam_b1", "adam_b2", "label_smoothing", "ema_decay")
        check.at_least_zero("warmup_steps", "weight_decay", "gradient_clip", "evaluate_every", "checkpoint_every")
        check.at_least_zero("final_learning_rate", "loss_chunk", "keep_every", "patience", "seed")
        check.require("bleu_sentences", self.bleu_sentences >= -1, "must be -1 (all) or greater")
        measured = self.best_metric not in ("bleu", "chrf") or self.bleu_sentences != 0
        check.require("best_metric", measured, "requires training.bleu_sentences to be nonzero")
        warms_up = self.schedule not in ("noam", "inverse_sqrt") or self.warmup_steps > 0
        check.require("warmup_steps", warms_up, f"must be at least 1 for the {self.schedule} schedule")
        decays = self.schedule != "cosine" or self.warmup_steps < self.steps
        fix = f"must be less than training.steps = {self.steps} for the cosine schedule"
        check.require("warmup_steps", decays, fix)
        first, last = self.profiled or (0, 0)
        fix = f"must be FIRST:LAST, such as 50:54, with 1 <= FIRST <= LAST <= training.steps = {self.steps}"
        check.require("profile_steps", not self.profile_steps or 1 <= first <= last <= self.steps, fix)

    @property
    def profiled(self) -> tuple[int, int] | None:
        """The first and the last step to profile; None: no step."""
        match = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9})", self.profile_steps)
        return (int(match[1]), int(match[2])) if match else None
