"""The state of a run that starts from the parameters of another one."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from tfmr.config import Config, FineTuningConfig
from tfmr.errors import InputError
from tfmr.models import Model, build_model
from tfmr.models.parameter_names import as_tree, axis_names, boxed_params, by_name, with_structure_of
from tfmr.models.trainable import EVERYTHING, Trainable, boxed_learning, learning_rate_factors, trainable_of
from tfmr.runs.base import Base
from tfmr.runs.parameters import read_base_params
from tfmr.training.sharding import check_divides, tree_sharding

_NOISE = 0.1
"""Standard deviation of the noise in new rows, as a share of that of the table's entries."""


def rows_kept(base: Base, config: FineTuningConfig) -> int:
    """Returns how many rows of the tables of tokens are those of the base; the others are new."""
    size = getattr(base.run.config.model, "vocab_size", 0)
    # A table may have more rows than the tokenizer has tokens. New tokens are given these first.
    return min(size, base.run.tokenizer.vocab_size) if config.new_tokens else size


def tables_with_new_rows(model: Model, base: Base, config: FineTuningConfig) -> frozenset[str]:
    """Returns the names of the parameters that have rows for tokens that the base does not have."""
    if getattr(model.config, "vocab_size", 0) == rows_kept(base, config):
        return frozenset()
    return frozenset(name for name, axes in axis_names(boxed_params(model)).items() if "vocab" in axes)


def learning_of(config: Config, base: Base | None) -> tuple[Trainable, dict[str, float]]:
    """Returns what learns in a run, and the factors on the learning rate of arrays by their names.

    The configuration's model must have the size of its vocabulary, if the configuration says what learns.

    Raises:
      InputError: if a pattern matches nothing, or a table with new rows would not learn.
    """
    tuning = config.fine_tuning
    if not (tuning.trainable or tuning.lora_rank or tuning.learning_rate_factors):
        return EVERYTHING, {}
    model = build_model(config.model)
    changed = frozenset() if base is None else tables_with_new_rows(model, base, tuning)
    trainable = trainable_of(model, tuning, changed=changed)
    return trainable, learning_rate_factors(nn.unbox(boxed_learning(model, trainable)), tuning)


def read_start(model: Model, base: Base, config: FineTuningConfig, key: PRNGKeyArray, mesh: Mesh) -> Any:
    """Returns the parameters of a base, on the devices of a mesh, in the structure and size of a model.

    Args:
      model: the model that starts from them.
      base: where they are.
      config: the new tokens.
      key: the random key of new rows in the tables of tokens, which are the mean of the rows that are kept and noise.
      mesh: the mesh.

    Raises:
      InputError: if they cannot be read, are not those of the model, or cannot be divided over the mesh.
    """
    boxed = boxed_params(model)
    abstract, axes, sharding = nn.unbox(boxed), axis_names(boxed), tree_sharding(boxed, mesh)
    check_divides(abstract, sharding)
    tables, kept = tables_with_new_rows(model, base, config), rows_kept(base, config)

    def adapt(params: Any, key: PRNGKeyArray) -> Any:
        arrays = by_name(with_structure_of(params, abstract))
        shapes = {name: x.shape for name, x in by_name(abstract).items()}
        for number, name in enumerate(sorted(tables & arrays.keys())):
            rows = axes[name].index("vocab")
            arrays[name] = _with_new_rows(arrays[name], rows, kept, shapes[name][rows], jax.random.fold_in(key, number))
        wrong = [name for name in sorted(shapes.keys() | arrays.keys()) if _shape(arrays, name) != shapes.get(name)]
        if wrong:
            raise InputError(
                f"{base.folder}: parameters that do not match the model: {', '.join(wrong)}; start from another run"
            )
        return as_tree(arrays)

    params = read_base_params(base, lambda boxed: _divisible_sharding(boxed, mesh))
    with jax.set_mesh(mesh):
        # Another key than that of low-rank changes.
        return jax.jit(adapt, out_shardings=sharding)(params, jax.random.split(key)[1])


def assembling(model: Model, mesh: Mesh, trainable: Trainable) -> Callable[[Any, Any], Any]:
    """Returns `trainable.assemble`, computed on a mesh if it computes anything."""
    if not trainable.lora:
        return trainable.assemble
    return jax.jit(trainable.assemble, out_shardings=tree_sharding(boxed_params(model), mesh))


def _shape(arrays: dict[str, Array], name: str) -> tuple[int, ...] | None:
    return arrays[name].shape if name in arrays else None


def _with_new_rows(table: Array, axis: int, kept: int, size: int, key: PRNGKeyArray) -> Array:
    """Returns a table whose rows from `kept` up to `size` along an axis are the mean of the others and noise."""
    rows = jnp.moveaxis(table, axis, 0)[:kept]
    noise = _NOISE * rows.std() * jax.random.normal(key, (size - kept, *rows.shape[1:]), rows.dtype)
    return jnp.moveaxis(jnp.concatenate([rows, rows.mean(axis=0) + noise]), 0, axis)


def _divisible_sharding(boxed: Any, mesh: Mesh) -> Any:
    """Returns shardings like those of the model; whole arrays where the base's size cannot be divided."""

    def whole_if_needed(x: Any, sharding: NamedSharding) -> NamedSharding:
        sizes = [_devices(mesh, part) for part in sharding.spec]
        divides = all(size % parts == 0 for size, parts in zip(x.shape, sizes, strict=False))
        return sharding if divides else NamedSharding(mesh, PartitionSpec())

    return jax.tree.map(whole_if_needed, nn.unbox(boxed), tree_sharding(boxed, mesh))


def _devices(mesh: Mesh, axes: Any) -> int:
    """Returns the number of devices over which a part of a PartitionSpec divides an axis."""
    names = (axes,) if isinstance(axes, str) else axes or ()
    return int(np.prod([mesh.shape[name] for name in names]))
