"""The base class of models, and the registry that builds a model from its configuration."""

import abc
import collections
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tfmr.config import ModelConfig
from tfmr.errors import InputError


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
        """Returns the model's arguments from the arrays of a batch, by name."""
        raise NotImplementedError

    @classmethod
    def example_inputs(cls) -> dict[str, Any]:
        """Returns the smallest arguments that the model can be initialised with, by name: a batch of one token."""
        return cls.inputs_of(collections.defaultdict(lambda: jnp.ones((1, 1), jnp.int32)))


@dataclass(frozen=True)
class Account:
    """What a kind of model costs to run, as functions of its configuration. See `tfmr.models.account`."""

    forward_flops: Callable[[Any, int, int], dict[str, int]]
    """Floating-point operations of a forward pass by part, from the configuration and the source and target lengths."""
    cache_bytes: Callable[[Any, int], int]
    """Size of the keys and values of one text, from the configuration and the text's length."""


_KINDS: dict[type[ModelConfig], tuple[type[Model], Account | None]] = {}


def register_model(
    config_class: type[ModelConfig], model_class: type[Model], *, account: Account | None = None
) -> None:
    """Makes `build_model` return `model_class(config)` for a `config_class`.

    `tfmr inspect` and `tfmr compile` need the account: what the model costs to run.
    """
    _KINDS[config_class] = model_class, account


def build_model(config: ModelConfig) -> Any:
    """Returns the model that a configuration describes.

    Raises:
      TypeError: if no model is registered for this kind of configuration.
    """
    model_class, _ = _kind_of(config)
    return model_class(config)


def account_of(config: ModelConfig) -> Account:
    """Returns the account of a configuration's kind.

    Raises:
      TypeError: if the kind is not registered.
      InputError: if it is registered without an account.
    """
    _, account = _kind_of(config)
    if account is None:
        name = type(config).__name__
        raise InputError(f"{name}: its FLOPs and cache size are unknown; pass account= to tfmr.models.register_model")
    return account


def _kind_of(config: ModelConfig) -> tuple[type[Model], Account | None]:
    if type(config) not in _KINDS:
        raise TypeError(f"{type(config).__name__}: no model is registered for it; call tfmr.models.register_model")
    return _KINDS[type(config)]


def init_params(model: Model, key: Any) -> Any:
    """Returns a model's initial parameters, boxed with their logical axis names if there are rules for these."""
    return model.init(key, **model.example_inputs())["params"]


def abstract_params(model: Model) -> Any:
    """Returns the shapes and types of a model's parameters; no array is created."""
    return nn.unbox(jax.eval_shape(lambda: init_params(model, jax.random.key(0))))
