"""The base of every kind of model configuration."""

import abc

from tfmr.config.checks import require, require_share


class ModelConfig(abc.ABC):
    """The shape of a model. Each kind of model has a subclass, a frozen dataclass.

    `tfmr.models.register_model` connects a subclass to the module that it describes.
    """

    vocab_size: int
    """Number of tokens. 0: taken from the tokenizer."""
    d_model: int
    """Width of every sub-layer's input and output."""

    @property
    @abc.abstractmethod
    def longest_sequence(self) -> int | None:
        """Maximum number of tokens that the model has positions for. None: no limit."""


def check_token_model(config) -> None:
    """Checks the fields that every model of tokens has."""
    require_share("model", config, "dropout_rate", "attention_dropout_rate")
    require(config.vocab_size >= 0, "model.vocab_size", config.vocab_size, "must be 0 (use the tokenizer's) or greater")
    require(
        config.positions != "sinusoidal" or config.d_model % 2 == 0,
        "model.d_model",
        config.d_model,
        "must be even for sinusoidal positions",
    )
