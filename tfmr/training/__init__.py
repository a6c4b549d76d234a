"""Training: loss, optimizer, sharded step, checkpoints, and the loop over them."""

from tfmr.training.loop import Diverged, Stopped, train
from tfmr.training.loss import LossSums, label_smoothed_cross_entropy
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.state import TrainState, make_state
from tfmr.training.step import batch_loss, make_train_step

__all__ = [
    "Diverged",
    "LossSums",
    "Stopped",
    "TrainState",
    "batch_loss",
    "label_smoothed_cross_entropy",
    "make_optimizer",
    "make_schedule",
    "make_state",
    "make_train_step",
    "train",
]
