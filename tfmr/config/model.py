"""The base of every kind of model configuration."""

import abc
from typing import ClassVar

from tfmr.config.checks import Checks


class ModelConfig(abc.ABC):
    """The shape of a model. Each kind of model has a subclass, a frozen dataclass.

    `tfmr.models.register_model` connects a subclass to the module that it describes.
    """

    run_time: ClassVar[frozenset[str]] = frozenset(
        {"dropout_rate", "attention_dropout_rate", "attention", "dtype", "scan_layers", "remat"}
    )
    """Fields that may differ from those of the run that a run starts from. All others describe its parameters."""

    vocab_size: int
    """Number of tokens. 0: taken from the tokenizer."""
    d_model: int
    """Width of every sub-layer's input and output."""

    @property
    @abc.abstractmethod
    def longest_sequence(self) -> int | None:
        """Maximum number of tokens that the model has positions for. None: no limit."""


def check_token_model(config, check: Checks) -> None:
    """Checks the fields that every model of tokens has."""
    check.share("dropout_rate", "attention_dropout_rate")
    check.require("vocab_size", config.vocab_size >= 0, "must be 0 (use the tokenizer's) or greater")
    even = config.positions in ("learned", "relative", "relative_by_layer") or config.d_model % 2 == 0
    check.require("d_model", even, "must be even for sinusoidal positions")
