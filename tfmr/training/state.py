"""The training state: parameters, optimizer state, moving average and counters."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int, PRNGKeyArray, Scalar

from tfmr.models import Model, init_params
from tfmr.training.sharding import LOGICAL_AXIS_RULES, check_divides, tree_sharding


@flax.struct.dataclass
class TrainState:
    """Everything that a step reads and writes. There is no random state: keys derive from the seed and the step."""

    step: Int[Array, ""] | Any
    """Number of batches so far."""
    skipped: Int[Array, ""] | Any
    """Number of batches that were skipped because their gradient was not finite."""
    skipped_in_a_row: Int[Array, ""] | Any
    """Number of consecutive skipped batches up to now."""
    params: Any
    """The model's parameters, float32."""
    opt_state: Any
    """The optimizer's state."""
    ema_params: Any
    """Exponential moving average of the parameters, or None."""


def make_state(
    model: Model, optimizer: optax.GradientTransformation, key: PRNGKeyArray | Scalar, *, ema: bool
) -> TrainState:
    """Returns the state before the first step."""
    params = init_params(model, key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_a_row=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        ema_params=jax.tree.map(jnp.copy, params) if ema else None,
    )


def make_sharded_state(
    model: Model, optimizer: optax.GradientTransformation, key: PRNGKeyArray, mesh: Mesh, *, ema: bool
) -> tuple[TrainState, TrainState]:
    """Returns the state before the first step, created on its devices, and a tree of its shardings.

    Raises:
      InputError: if a parameter cannot be divided over the mesh.
    """

    _, sharding = abstract_state(model, optimizer, mesh, ema=ema)
    with jax.set_mesh(mesh):
        make = jax.jit(lambda key: nn.unbox(make_state(model, optimizer, key, ema=ema)), out_shardings=sharding)
        state = make(key)
    return state, sharding


def abstract_state(
    model: Model, optimizer: optax.GradientTransformation, mesh: Mesh, *, ema: bool
) -> tuple[TrainState, TrainState]:
    """Returns the shapes and types of the state on a mesh, and its shardings. No array is created.

    Raises:
      InputError: if a parameter cannot be divided over the mesh.
    """
    with nn.logical_axis_rules(LOGICAL_AXIS_RULES):  # so that parameters are boxed with their axis names
        boxed = jax.eval_shape(lambda: make_state(model, optimizer, jax.random.key(0), ema=ema))
    sharding = tree_sharding(boxed, mesh)
    unboxed = nn.unbox(boxed)
    check_divides(unboxed.params, sharding.params)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), unboxed, sharding), sharding


def checkpoint_items(state: TrainState) -> dict[str, Any]:
    """Returns the items of a checkpoint of a state: trees of arrays by name."""
    counts = state.step, state.skipped, state.skipped_in_a_row
    items = dict(params=state.params, optimizer=(counts, state.opt_state))
    return items if state.ema_params is None else {**items, "ema_params": state.ema_params}


def state_from_items(items: dict[str, Any]) -> TrainState:
    """Inverts `checkpoint_items`."""
    (step, skipped, skipped_in_a_row), opt_state = items["optimizer"]
    return TrainState(step, skipped, skipped_in_a_row, items["params"], opt_state, items.get("ema_params"))


def checkpoint_targets(state: TrainState, sharding: TrainState) -> dict[str, Any]:
    """Returns the shapes, types and shardings of the items of a checkpoint, to restore them."""
    shapes = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, sharding)
    return checkpoint_items(shapes)
