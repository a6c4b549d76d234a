"""What every model has in common, and models from their configurations."""

import abc
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from tfmr.config import ModelConfig

_MODELS: dict[type[ModelConfig], type["Model"]] = {}


class Model(nn.Module):
    """A model that can be trained, used through `init` and `apply`. Each kind of model is a subclass.

    The trainer calls `apply` with the arguments that `inputs_of` returns and `deterministic`. The default loss and
    validation of tokens call the method `states_and_output_table`.

    Attributes:
      config: the kind's configuration.
    """

    config: Any

    @staticmethod
    @abc.abstractmethod
    def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arrays of a batch that the model takes, by the names of its arguments."""
        raise NotImplementedError

    @staticmethod
    @abc.abstractmethod
    def example_inputs() -> dict[str, Any]:
        """Returns the smallest inputs that the model can be initialised with."""
        raise NotImplementedError


def register_model(config_class: type[ModelConfig], model_class: type[Model]) -> None:
    """Makes `build_model` build `model_class(config)` from a `config_class`."""
    _MODELS[config_class] = model_class


def build_model(config: ModelConfig) -> Any:
    """Returns the model that a configuration describes.

    Raises:
      TypeError: if no model is registered for this kind of configuration.
    """
    if type(config) not in _MODELS:
        raise TypeError(f"{type(config).__name__}: no model is registered for it; call tfmr.models.register_model")
    return _MODELS[type(config)](config)


def init_params(model: Model, key: Any) -> Any:
    """Returns a model's initial parameters, boxed with their logical axis names."""
    return model.init(key, **model.example_inputs())["params"]


def abstract_params(model: Model) -> Any:
    """Returns the shapes and types of a model's parameters; no array is created."""
    return nn.unbox(jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
