"""Where arrays live: one table from logical axis names to mesh axes."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tfmr.config import MeshConfig
from tfmr.errors import InputError

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
)


def make_mesh(config: MeshConfig) -> Mesh:
    """Returns the mesh over all devices; raises InputError where the sizes do not fit their number."""
    shape = config.shape(jax.device_count())
    # Explicit axes, the default, do not go with Linen's logical names.
    return jax.make_mesh(shape, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def batch_parts(mesh: Mesh) -> int:
    """Returns the number of parts that a batch is split into."""
    return mesh.shape["data"] * mesh.shape["fsdp"]


def tree_sharding(abstract: Any, mesh: Mesh) -> Any:
    """Returns the shardings of a tree whose parameters are boxed with logical names; other arrays are replicated."""
    return nn.logical_to_mesh_sharding(nn.get_partition_spec(abstract), mesh, LOGICAL_AXIS_RULES)


def check_divides(abstract: Any, sharding: Any) -> None:
    """Raises InputError where an array does not divide over the mesh as its sharding says."""
    for (path, x), s in zip(jax.tree.leaves_with_path(abstract), jax.tree.leaves(sharding), strict=True):
        try:
            s.shard_shape(x.shape)
        except ValueError:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise InputError(
                f"mesh = {dict(s.mesh.shape)}: {name} of shape {x.shape} does not divide as {tuple(s.spec)}; "
                "give mesh sizes that divide it, or another size (model.vocab_size may exceed the tokenizer's)"
            ) from None


def to_devices(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, Array]:
    """Puts this host's rows of a batch on its devices; the result is the whole batch, split by rows."""
    sharding = NamedSharding(mesh, PartitionSpec(("data", "fsdp")))
    return {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
