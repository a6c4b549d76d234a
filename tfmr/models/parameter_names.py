"""The names of a model's parameters and of their axes, and patterns that select parameters by name.

A name is the path in the parameter tree, joined by dots: `encoder.layer_0.self_attention.query`. If a model scans over
stacked layers, one array is all layers of a stack, `encoder.layers.self_attention.query`. Patterns match the names of
the single layers all the same.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import PartitionSpec

from tfmr.errors import InputError, nearest
from tfmr.models.model import Model, init_params
from tfmr.nn import stack_layers, unstack_layers

STACK = "layers"
"""The name under which the layers of a stack are one array, whose first axis is the layer."""


def by_name(params: Any) -> dict[str, Any]:
    """Returns the arrays of a parameter tree by their names."""
    return flatten_dict(params, sep=".")  # pyright: ignore


def as_tree(arrays: Mapping[str, Any]) -> Any:
    """Inverts `by_name`."""
    return unflatten_dict(dict(arrays), sep=".")


def is_stacked(name: str) -> bool:
    """Returns whether an array is a parameter of all layers of a stack."""
    return STACK in name.split(".")


def is_matrix(name: str, x: Any) -> bool:
    """Returns whether a parameter is a matrix: of two or more axes for each layer, and not a bias."""
    return len(x.shape) - is_stacked(name) > 1 and not name.endswith("bias")  # that of the queries is [heads, d_k]


def boxed_params(model: Model) -> Any:
    """Returns the shapes and types of a model's parameters, boxed with the logical names of their axes."""
    with nn.logical_axis_rules((("batch", None),)):  # any rules: without them, parameters are not boxed
        return jax.eval_shape(lambda: init_params(model, jax.random.key(0)))


def axis_names(boxed: Any) -> dict[str, tuple[str | None, ...]]:
    """Returns the logical names of the axes of each parameter; None for an axis without one."""
    specs = jax.tree.map(tuple, nn.get_partition_spec(boxed), is_leaf=lambda x: isinstance(x, PartitionSpec))
    shapes = by_name(nn.unbox(boxed))
    return {name: spec or (None,) * len(shapes[name].shape) for name, spec in by_name(specs).items()}


def with_structure_of(params: Any, abstract: Any) -> Any:
    """Returns parameters with their layers stacked or separate as in another tree of the same model."""
    separate = unstack_layers(params)
    return separate if jax.tree.structure(separate) == jax.tree.structure(abstract) else stack_layers(separate)


def matching(patterns: Iterable[str], shapes: Mapping[str, Any], option: str, *, kind: str = "parameter") -> set[str]:
    """Returns the names of the arrays that match one of several patterns, such as `decoder.*`.

    Args:
      patterns: patterns of names, with `*`, `?` and `[...]`.
      shapes: the arrays, or their shapes and types, by name.
      option: the name of the option in error messages.
      kind: what these arrays are, in error messages.

    Raises:
      InputError: if a pattern matches nothing, or only some layers of a stacked array.
    """
    return {name for pattern in patterns for name in _matching(pattern, shapes, option, kind)}


def _matching(pattern: str, shapes: Mapping[str, Any], option: str, kind: str) -> set[str]:
    names = {name: _names_of_layers(name, x) for name, x in shapes.items()}
    found = {name: [one for one in layers if fnmatch.fnmatchcase(one, pattern)] for name, layers in names.items()}
    chosen = {name for name, layers in found.items() if layers}
    if not chosen:
        known = [name for layers in names.values() for name in layers]
        raise InputError(f"{option} = {pattern!r}: matches no {kind}{nearest(pattern, _patterns_for(known))}")
    for name in sorted(chosen):
        if len(found[name]) < len(names[name]):
            raise InputError(
                f"{option} = {pattern!r}: matches only some layers of {name}, which is one array with "
                "model.scan_layers; choose all layers, or set --model.scan-layers False"
            )
    return chosen


def _names_of_layers(name: str, x: Any) -> Sequence[str]:
    """Returns the names that a parameter has if layers are separate: one for each layer of a stacked array."""
    if not is_stacked(name):
        return [name]
    before, _, after = f".{name}.".partition(f".{STACK}.")
    return [f"{before}.layer_{layer}.{after}".strip(".") for layer in range(x.shape[0])]


def _patterns_for(names: Iterable[str]) -> list[str]:
    """Returns patterns that a wrong one may be meant to be: names, their beginnings, and their parts."""
    found: dict[str, None] = {}
    for name in names:
        parts = name.split(".")
        beginnings = (".".join(parts[:end]) + ".*" for end in range(1, len(parts)))
        middles = (f"*.{part}.*" for part in parts[1:-1])
        found |= dict.fromkeys([*beginnings, *middles, f"*.{parts[-1]}", name])
    return list(found)
