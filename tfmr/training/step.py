"""One training step: (state, batch) -> (state, metrics)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from tfmr.config import TrainingConfig
from tfmr.models import Model
from tfmr.models.trainable import EVERYTHING, Trainable
from tfmr.training.evaluation import Batch
from tfmr.training.loss import LossSums, token_loss
from tfmr.training.optimizer import Schedule
from tfmr.training.sharding import logical_names_on
from tfmr.training.state import TrainState

Metrics = dict[str, Array]


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    config: TrainingConfig,
    *,
    loss: Callable[..., LossSums] = token_loss,
    trainable: Trainable = EVERYTHING,
    axis_name: str | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Returns the pure function of one update.

    The gradient is that of the summed loss divided by the number of tokens of the batch. It therefore does not depend
    on how the batch is split over devices or into `config.accumulation` pieces. If it is not finite, the step is
    counted as skipped and leaves the rest of the state unchanged.

    Args:
      model: the model.
      optimizer: turns gradients into updates.
      schedule: the learning rate of the optimizer, which is also logged.
      config: seed, label smoothing, size of pieces of the loss, accumulation and moving average.
      loss: returns the sums of the loss of a batch; see `tfmr.training.Task.loss`.
      trainable: what learns, as in `make_state`. The gradient is that of these parameters only.
      axis_name: the axis over which the batch is split under `jax.pmap` or `jax.shard_map`; None otherwise.
    """

    def summed_loss(params: Any, frozen: Any, batch: Batch, key: PRNGKeyArray) -> tuple[Array, LossSums]:
        options = dict(label_smoothing=config.label_smoothing, chunk=config.loss_chunk)
        sums = loss(model, trainable.assemble(params, frozen), batch, **options, dropout_key=key)
        return sums.loss, sums

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))

        def gradient_of(batch: Batch, key: PRNGKeyArray) -> tuple[LossSums, Any]:
            gradient_and_sums = jax.value_and_grad(summed_loss, has_aux=True)
            (_, sums), gradient = gradient_and_sums(state.params, state.frozen, batch, key)
            return sums, gradient

        if config.accumulation == 1:
            sums, gradient = gradient_of(batch, key)
        else:
            sums, gradient = _accumulate(gradient_of, state.params, batch, key, config.accumulation)
        if axis_name is not None:
            sums, gradient = jax.lax.psum((sums, gradient), axis_name)
        following, gradient_norm = _next_state(state, sums, gradient, optimizer, config.ema_decay)
        tokens = jnp.maximum(sums.tokens, 1.0)
        metrics = {
            "loss": sums.loss / tokens,
            "cross_entropy": sums.cross_entropy / tokens,
            "tokens": sums.tokens,
            "gradient_norm": gradient_norm,
            "learning_rate": schedule(state.step - state.skipped),  # skipped steps do not advance the schedule
            "skipped": following.skipped,
            "skipped_in_a_row": following.skipped_in_a_row,
        }
        return following, metrics

    return train_step


def _accumulate(gradient_of: Callable, params: Any, batch: Batch, key: PRNGKeyArray, pieces: int):
    """Sums the losses and gradients of pieces of the batch, one after another."""
    # A piece consists of the rows r, r + pieces, r + 2 pieces, ..., so that every device keeps its own rows.
    split = {name: jnp.swapaxes(x.reshape(-1, pieces, *x.shape[1:]), 0, 1) for name, x in batch.items()}
    piece_keys = jax.random.split(key, pieces)
    zero = jnp.float32(0.0)
    start = LossSums(zero, zero, zero), jax.tree.map(jnp.zeros_like, params)

    def add(sums: Any, piece: tuple[Batch, PRNGKeyArray]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, gradient_of(*piece)), None

    return jax.lax.scan(add, start, (split, piece_keys))[0]


def _next_state(
    state: TrainState, sums: LossSums, gradient: Any, optimizer: optax.GradientTransformation, ema_decay: float
) -> tuple[TrainState, Array]:
    """Returns the next state, skipped if the loss or the gradient is not finite, and the norm of the gradient.

    `gradient` is that of the summed loss. It is divided by the number of tokens here.
    """
    tokens = jnp.maximum(sums.tokens, 1.0)
    with jax.named_scope("optimizer"):
        # The norm before the division: its pass over the gradient then does not write the divided one.
        gradient_norm = optax.tree.norm(gradient) / tokens
        gradient = jax.tree.map(lambda g: g / tokens, gradient)
        finite = jnp.isfinite(sums.loss) & jnp.isfinite(gradient_norm)
        following = jax.tree.map(
            lambda updated, skipped: jnp.where(finite, updated, skipped),
            _updated(state, gradient, optimizer, ema_decay),
            _skipped(state),
        )
    return following, gradient_norm


def _updated(state: TrainState, gradient: Any, optimizer: optax.GradientTransformation, ema_decay: float) -> TrainState:
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    average = state.ema_params
    ema_params = None if average is None else optax.incremental_update(params, average, 1.0 - ema_decay)
    counts = dict(step=state.step + 1, skipped_in_a_row=jnp.zeros_like(state.skipped_in_a_row))
    return dataclasses.replace(state, **counts, params=params, opt_state=opt_state, ema_params=ema_params)


def _skipped(state: TrainState) -> TrainState:
    return dataclasses.replace(
        state, step=state.step + 1, skipped=state.skipped + 1, skipped_in_a_row=state.skipped_in_a_row + 1
    )


def compile_for_mesh(step: Callable, mesh: Mesh, state_sharding: TrainState) -> Callable:
    """Returns the step compiled for a mesh. The state is donated and keeps its sharding."""
    jitted = jit_for_sharding(step, state_sharding)

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        with logical_names_on(mesh):
            return jitted(state, batch)

    return run


def jit_for_sharding(step: Callable, state_sharding: TrainState) -> Any:
    """Returns the jitted step; trace it under `logical_names_on(mesh)`."""
    return jax.jit(step, donate_argnums=0, in_shardings=(state_sharding, None), out_shardings=(state_sharding, None))
