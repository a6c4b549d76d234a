"""Adam and its learning rate schedules (section 5.3)."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from tfmr.config import TrainingConfig
from tfmr.models.parameter_names import as_tree, by_name, is_matrix

Schedule = Callable[[ArrayLike], Array]
"""Maps the number of updates so far, 0 for the first update, to the learning rate."""


def make_schedule(config: TrainingConfig, d_model: int) -> Schedule:
    """Returns the learning rate schedule of a configuration; see `TrainingConfig.schedule`."""
    warmup = max(config.warmup_steps, 1)

    def noam(step: Array) -> Array:
        return config.learning_rate * d_model**-0.5 * jnp.minimum(step**-0.5, step * warmup**-1.5)

    def inverse_sqrt(step: Array) -> Array:
        return config.learning_rate * jnp.minimum(step / warmup, jnp.sqrt(warmup / step))

    def constant(step: Array) -> Array:
        return config.learning_rate * jnp.minimum(step / warmup, 1.0)

    def cosine(step: Array) -> Array:
        done = jnp.clip((step - config.warmup_steps) / (config.steps - config.warmup_steps), 0.0, 1.0)
        height = config.learning_rate - config.final_learning_rate
        decayed = config.final_learning_rate + height * 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        return jnp.where(step < warmup, constant(step), decayed)

    schedules = dict(noam=noam, inverse_sqrt=inverse_sqrt, constant=constant, cosine=cosine)
    schedule = schedules[config.schedule]
    # The formulas count steps from 1, optax from 0.
    return lambda count: schedule(jnp.asarray(count, jnp.float32) + 1.0)


def make_optimizer(
    config: TrainingConfig, schedule: Schedule, factors: Mapping[str, float] | None = None
) -> optax.GradientTransformation:
    """Returns gradient clipping, Adam, decoupled weight decay of matrices, and the learning rate, in this order.

    Args:
      config: the optimizer's options.
      schedule: the learning rate.
      factors: factors on the learning rate of arrays, by their names, such as encoder.layer_0.self_attention.query;
        1 for those that are missing. None: 1 for all.
    """
    parts = []
    if config.gradient_clip > 0.0:
        parts.append(optax.clip_by_global_norm(config.gradient_clip))
    parts.append(optax.scale_by_adam(b1=config.adam_b1, b2=config.adam_b2, eps=config.adam_epsilon))
    if config.weight_decay > 0.0:
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=_are_matrices))
    parts.append(optax.scale_by_learning_rate(schedule))
    if factors:
        parts.append(optax.stateless(lambda updates, params: _scaled(updates, factors)))
    return optax.chain(*parts)


def _scaled(updates: Any, factors: Mapping[str, float]) -> Any:
    return as_tree({name: x * factors.get(name, 1.0) for name, x in by_name(updates).items()})


def _are_matrices(params: Any) -> Any:
    return as_tree({name: is_matrix(name, x) for name, x in by_name(nn.unbox(params)).items()})
