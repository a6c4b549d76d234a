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
from tfmr.models.trainable import EVERYTHING, Trainable
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
    """The parameters that learn, float32: all of the model's, or those that `Trainable` chooses."""
    opt_state: Any
    """The optimizer's state."""
    ema_params: Any
    """Exponential moving average of `params`, or None."""
    frozen: Any = None
    """The parameters that do not learn; None if there are none."""


def make_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray | Scalar,
    *,
    ema: bool,
    trainable: Trainable = EVERYTHING,
    params: Any = None,
) -> TrainState:
    """Returns the state before the first step.

    Args:
      model: the model.
      optimizer: its state is created for the parameters that learn.
      key: the random key of the initial parameters.
      ema: whether to keep an exponential moving average.
      trainable: what learns.
      params: the parameters to start from; None: random ones.
    """
    params, frozen = trainable.start(init_params(model, key) if params is None else params, key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_a_row=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        ema_params=jax.tree.map(jnp.copy, params) if ema else None,
        frozen=frozen,
    )


def make_sharded_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray,
    mesh: Mesh,
    *,
    ema: bool,
    trainable: Trainable = EVERYTHING,
    params: Any = None,
) -> tuple[TrainState, TrainState]:
    """Returns the state before the first step, created on its devices, and a tree of its shardings.

    The arguments are those of `make_state`.

    Raises:
      InputError: if a parameter cannot be divided over the mesh.
    """

    _, sharding = abstract_state(model, optimizer, mesh, ema=ema, trainable=trainable)

    def make(key: PRNGKeyArray, params: Any) -> TrainState:
        return nn.unbox(make_state(model, optimizer, key, ema=ema, trainable=trainable, params=params))

    with jax.set_mesh(mesh):
        state = jax.jit(make, out_shardings=sharding)(key, params)
    return state, sharding


def abstract_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    ema: bool,
    trainable: Trainable = EVERYTHING,
) -> tuple[TrainState, TrainState]:
    """Returns the shapes and types of the state on a mesh, and its shardings. No array is created.

    Raises:
      InputError: if a parameter cannot be divided over the mesh.
    """
    with nn.logical_axis_rules(LOGICAL_AXIS_RULES):  # so that parameters are boxed with their axis names
        boxed = jax.eval_shape(lambda: make_state(model, optimizer, jax.random.key(0), ema=ema, trainable=trainable))
    sharding = tree_sharding(boxed, mesh)
    unboxed = nn.unbox(boxed)
    for shapes, shardings in ((unboxed.params, sharding.params), (unboxed.frozen, sharding.frozen)):
        check_divides(shapes, shardings)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), unboxed, sharding), sharding


def checkpoint_items(state: TrainState, trainable: Trainable = EVERYTHING) -> dict[str, Any]:
    """Returns the items of a checkpoint of a state: trees of arrays by name."""
    counts = state.step, state.skipped, state.skipped_in_a_row
    item = trainable.item
    items = {item: trainable.stored(state.params, state.frozen), "optimizer": (counts, state.opt_state)}
    if state.ema_params is None:
        return items
    return {**items, f"ema_{item}": trainable.stored(state.ema_params, state.frozen)}


def state_from_items(items: dict[str, Any], trainable: Trainable = EVERYTHING, frozen: Any = None) -> TrainState:
    """Inverts `checkpoint_items`. The items of low-rank changes do not contain the parameters that are `frozen`."""
    (step, skipped, skipped_in_a_row), opt_state = items["optimizer"]
    params, frozen = trainable.restored(items[trainable.item], frozen)
    average = items.get(f"ema_{trainable.item}")
    ema_params = None if average is None else trainable.restored(average, frozen)[0]
    return TrainState(step, skipped, skipped_in_a_row, params, opt_state, ema_params, frozen)


def checkpoint_targets(state: TrainState, sharding: TrainState, trainable: Trainable = EVERYTHING) -> dict[str, Any]:
    """Returns the shapes, types and shardings of the items of a checkpoint, to restore them."""
    shapes = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, sharding)
    return checkpoint_items(shapes, trainable)
