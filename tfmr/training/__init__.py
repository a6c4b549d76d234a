"""Training: loss, optimizer, the sharded step, the Task seam, and `fit`, which runs it all."""

from tfmr.errors import require_packages

require_packages("optax", "orbax", "tensorboardX")

from tfmr.training.fit import fit
from tfmr.training.loop import Stopped
from tfmr.training.loss import LossSums, label_smoothed_cross_entropy
from tfmr.training.metrics_reader import Diverged
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.state import TrainState, make_state
from tfmr.training.step import make_train_step
from tfmr.training.task import EvaluationOptions, Task, TokenTask, task_for

__all__ = [
    "Diverged",
    "EvaluationOptions",
    "LossSums",
    "Stopped",
    "Task",
    "TokenTask",
    "TrainState",
    "fit",
    "label_smoothed_cross_entropy",
    "make_optimizer",
    "make_schedule",
    "make_state",
    "make_train_step",
    "task_for",
]
