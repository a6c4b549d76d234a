"""The platform and the mesh that a program is traced for, and the name under which kernels keep their results."""

import math

import flax.linen as nn
import jax
from jax.sharding import AxisType

KEPT_BY_KERNELS = "kept_by_kernels"
"""The name, for policies of `jax.checkpoint`, of what kernels compute forward and need backward."""


def platform() -> str:
    """Returns "cpu", "gpu" or "tpu": that of the mesh which is set, whose devices need not be present, or jax's own."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def mesh_axes(name: str) -> tuple[str, ...]:
    """Returns the axes of the mesh over which a logical axis is split; inside `jax.shard_map`, those that remain."""
    mesh = jax.sharding.get_abstract_mesh()
    (axes,) = nn.logical_to_mesh_axes((name,)) or (None,)
    axes = (axes,) if isinstance(axes, str) else tuple(axes or ())
    manual = {axis for axis, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if kind == AxisType.Manual}
    return tuple(axis for axis in axes if axis in mesh.shape and axis not in manual)


def mesh_parts(name: str) -> int:
    """Returns the number of parts into which the mesh splits a logical axis."""
    shape = jax.sharding.get_abstract_mesh().shape
    return math.prod(shape[axis] for axis in mesh_axes(name))
