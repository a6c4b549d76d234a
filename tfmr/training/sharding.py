"""Sharding: one table that maps logical axis names to mesh axes."""

import bisect
import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tfmr.config import MeshConfig
from tfmr.errors import InputError
from tfmr.runs.checksums import named_leaves

MESH_AXES = ("data", "fsdp", "tensor")

LOGICAL_AXIS_RULES = (
    ("batch", ("data", "fsdp")),
    ("length", None),
    ("activation_embed", None),
    ("embed", "fsdp"),
    ("heads", "tensor"),
    ("kv", None),
    ("mlp", "tensor"),
    ("vocab", "tensor"),
    ("table_embed", None),
    ("positions", None),
    ("layers", None),
    ("lora_rank", None),
)


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh over all devices, or over the given ones.

    Several TPU slices split the data axis, so that only sums of gradients cross the slow network between them, once a
    step.

    Raises:
      InputError: if the sizes do not fit the number of devices, or the data axis does not fit the slices.
    """
    devices = jax.devices() if devices is None else devices
    shape = config.shape(len(devices))
    # Linen's logical names do not work with Explicit axes, the default.
    axis_types = (AxisType.Auto,) * len(MESH_AXES)
    # On GPUs the attribute counts hosts, whose network is fast enough for the other axes.
    slices = len({getattr(device, "slice_index", 0) for device in devices if device.platform != "gpu"}) or 1
    if slices == 1:
        return jax.make_mesh(shape, MESH_AXES, axis_types=axis_types, devices=devices)
    if shape[0] % slices:
        raise InputError(
            f"mesh.data = {shape[0]}: must be a multiple of {slices}, the number of TPU slices, since only data "
            "parallelism is fast across slices"
        )
    of_a_slice = shape[0] // slices, *shape[1:]
    return Mesh(mesh_utils.create_hybrid_device_mesh(of_a_slice, (slices, 1, 1), devices), MESH_AXES, axis_types)


def batch_parts(mesh: Mesh) -> int:
    """Returns the number of parts into which a batch is split."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def tree_sharding(abstract: Any, mesh: Mesh) -> Any:
    """Returns the shardings of a tree whose parameters are boxed with logical names. Other arrays are replicated."""
    return nn.logical_to_mesh_sharding(nn.get_partition_spec(abstract), mesh, LOGICAL_AXIS_RULES)


def check_divides(abstract: Any, sharding: Any) -> None:
    """Raises InputError if an array cannot be divided over the mesh as its sharding demands."""
    for (name, x), s in zip(named_leaves(abstract).items(), jax.tree.leaves(sharding), strict=True):
        try:
            s.shard_shape(x.shape)
        except ValueError:
            raise InputError(
                f"mesh = {dict(s.mesh.shape)}: {name} of shape {x.shape} cannot be sharded as {tuple(s.spec)}; "
                "change the mesh or the model's dimensions (model.vocab_size may exceed the tokenizer's)"
            ) from None


@contextlib.contextmanager
def logical_names_on(mesh: Mesh) -> Iterator[None]:
    """Sets the mesh, and what logical axis names mean on it, while a program is traced."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(LOGICAL_AXIS_RULES):
        yield


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of the rows of a batch."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


@functools.lru_cache(maxsize=256)
def rows_here(mesh: Mesh, rows: int) -> list[int]:
    """Returns the indices of the rows of a batch that the devices of this process hold, ascending.

    Processes hold the same rows if the tensor axis spans them, and their rows need not be contiguous. Both follow from
    the layout of the mesh, so the sharding is queried.
    """
    slices = batch_sharding(mesh).addressable_devices_indices_map((rows,)).values()
    return sorted({row for (part,) in slices for row in range(*part.indices(rows))})  # type: ignore[misc]


def to_devices(batch: dict[str, np.ndarray], mesh: Mesh, rows: int | None = None) -> dict[str, Array]:
    """Puts this process's rows of a batch on its devices and returns the whole batch, sharded by rows.

    The arrays contain the rows that `rows_here` returns for a whole batch of `rows`; or, if it is None, all rows.
    """
    sharding = batch_sharding(mesh)

    def put(local: np.ndarray) -> Array:
        total = len(local) if rows is None else rows
        held = rows_here(mesh, total) if rows is not None else range(total)

        def piece(index: Any) -> np.ndarray:
            start, stop, _ = index[0].indices(total)
            # The rows of one device are contiguous in the whole batch, and so among the rows of this process.
            first = bisect.bisect_left(held, start)
            return local[first : first + stop - start]

        return jax.make_array_from_callback((total, *local.shape[1:]), sharding, piece)

    return {name: put(array) for name, array in batch.items()}
