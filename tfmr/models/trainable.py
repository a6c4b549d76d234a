"""Which parameters of a model learn, and how: all of them, some of them, or low-rank changes of matrices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import PRNGKeyArray

from tfmr.config import FineTuningConfig
from tfmr.errors import InputError
from tfmr.models.lora import LowRank
from tfmr.models.model import Model, abstract_params, init_params
from tfmr.models.parameter_names import as_tree, axis_names, boxed_params, by_name, is_matrix, is_stacked, matching

_A, _B = ".lora_a", ".lora_b"


@dataclass(frozen=True, eq=False)
class Trainable:
    """Divides the parameters of a model into those that learn and those that do not, and assembles them again.

    What learns is a tree like that of the parameters. In place of a matrix with a low-rank change, it has a dictionary
    with `lora_a` and `lora_b`, and the matrix itself is among those that do not learn.
    """

    frozen: frozenset[str] = frozenset()
    """The names of the parameters that do not learn."""
    lora: Mapping[str, LowRank] = field(default_factory=dict)
    """The low-rank changes by the name of their matrix, which is frozen."""
    scale: float = 1.0
    """The factor of the low-rank changes, alpha / rank."""

    def start(self, params: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
        """Returns what learns, before the first step, and what does not; None if everything learns."""
        learning, frozen = self.divide(params)
        if not self.lora:
            return learning, frozen
        factors = {}
        for number, (name, low_rank) in enumerate(sorted(self.lora.items())):
            a, b = low_rank.init(jax.random.fold_in(key, number))
            factors |= {name + _A: a, name + _B: b}
        return as_tree({**by_name(learning), **factors}), frozen

    def divide(self, params: Any) -> tuple[Any, Any]:
        """Returns the parameters that learn themselves, and those that do not; None if there are no such ones."""
        if not self.frozen:
            return params, None
        arrays = by_name(params)
        learning, frozen = {}, {}
        for name, x in arrays.items():
            (frozen if name in self.frozen else learning)[name] = x
        return as_tree(learning), as_tree(frozen)

    def assemble(self, learning: Any, frozen: Any) -> Any:
        """Returns the parameters of the model, with the low-rank changes added to their matrices."""
        if frozen is None:
            return learning
        arrays, own = by_name(frozen), by_name(learning)
        for name, low_rank in self.lora.items():
            change = self.scale * low_rank.product(own.pop(name + _A), own.pop(name + _B))
            arrays[name] = (arrays[name] + change).astype(arrays[name].dtype)
        return as_tree({**arrays, **own})

    @property
    def item(self) -> str:
        """The name of the parameters in a checkpoint: "params" if all are there, "lora" for those that learn."""
        return "lora" if self.lora else "params"

    def stored(self, learning: Any, frozen: Any) -> Any:
        """Returns what a checkpoint contains: all parameters, or with low-rank changes only what learns."""
        return learning if self.lora else self.assemble(learning, frozen)

    def restored(self, stored: Any, frozen: Any) -> tuple[Any, Any]:
        """Inverts `stored`."""
        return (stored, frozen) if self.lora else self.divide(stored)


EVERYTHING = Trainable()
"""All parameters learn."""


def trainable_of(model: Model, config: FineTuningConfig, *, changed: frozenset[str] = frozenset()) -> Trainable:
    """Returns what learns in a run.

    Args:
      model: the model.
      config: the patterns, and the rank of the low-rank changes.
      changed: names of parameters that are not those of the base: tables with new rows, which must learn.

    Raises:
      InputError: if a pattern matches nothing, or a table with new rows would not learn.
    """
    if not (config.trainable or config.lora_rank):
        return EVERYTHING
    boxed = boxed_params(model)
    shapes = by_name(nn.unbox(boxed))
    learning = matching(config.trainable, shapes, "fine_tuning.trainable")
    if missing := sorted(changed - learning):
        raise InputError(
            f"fine_tuning.trainable = {config.trainable!r}: the new rows of {' and '.join(missing)} would not be "
            f"trained; add {' and '.join(map(repr, missing))}"
        )
    frozen = frozenset(shapes.keys() - learning)
    if not config.lora_rank:
        return Trainable(frozen)
    axes = axis_names(boxed)
    lora = {
        name: LowRank(tuple(shapes[name].shape), axes[name], config.lora_rank, is_stacked(name))
        for name in _lora_matrices({name: shapes[name] for name in frozen}, config)
    }
    return Trainable(frozen, lora, config.lora_alpha / config.lora_rank)


def boxed_learning(model: Model, trainable: Trainable) -> Any:
    """Returns the shapes and types of what learns, boxed with the logical names of the axes."""
    key = jax.random.key(0)
    with nn.logical_axis_rules((("batch", None),)):
        return jax.eval_shape(lambda: trainable.start(init_params(model, key), key)[0])


def learning_and_frozen(model: Model, config: FineTuningConfig) -> tuple[int, int]:
    """Returns how many numbers learn in a run, and how many are only read; raises InputError as `trainable_of` does."""
    trainable, shapes = trainable_of(model, config), by_name(abstract_params(model))
    learning = sum(x.size for x in jax.tree.leaves(nn.unbox(boxed_learning(model, trainable))))
    return learning, sum(shapes[name].size for name in trainable.frozen)


def _lora_matrices(shapes: Mapping[str, Any], config: FineTuningConfig) -> list[str]:
    """Returns the names of the matrices with low-rank changes, of the parameters that do not learn themselves."""
    option = "fine_tuning.lora_matrices"
    matrices = {name: x for name, x in shapes.items() if is_matrix(name, x)}
    if config.lora_matrices:
        kind = "matrix, besides those in fine_tuning.trainable" if config.trainable else "matrix"
        return sorted(matching(config.lora_matrices, matrices, option, kind=kind))
    layers = [name for name in matrices if ".layer" in f".{name}" and not name.endswith(".embedding")]
    if not layers:
        raise InputError(
            f"{option} = (): the layers have no matrix besides those in fine_tuning.trainable; narrow "
            "fine_tuning.trainable, or give patterns of other matrices"
        )
    return sorted(layers)


def learning_rate_factors(learning: Any, config: FineTuningConfig) -> dict[str, float]:
    """Returns the factor on the learning rate of each array that learns and has one, by the array's name.

    Args:
      learning: the tree of what learns.
      config: the patterns.

    Raises:
      InputError: if a pattern matches nothing that learns.
    """
    arrays = {name.removesuffix(_A).removesuffix(_B): x for name, x in by_name(learning).items()}
    factors: dict[str, float] = {}
    for pattern, factor in config.factors:
        option = "fine_tuning.learning_rate_factors"
        factors |= dict.fromkeys(matching([pattern], arrays, option, kind="parameter that learns"), factor)
    return {name + end: factor for name, factor in factors.items() for end in ("", _A, _B)}
