"""Learning rates at exact values; updates against Adam's paper in float64."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tfmr.config import TrainingConfig
from tfmr.training.optimizer import make_optimizer, make_schedule


def rate(step, d_model=512, **changes):
    """The learning rate of the `step`-th update, counted from 1 as in the paper."""
    return float(make_schedule(TrainingConfig(**changes), d_model)(jnp.int32(step - 1)))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, 1 / math.sqrt(512) / 4000**1.5),  # 1.7469e-07
        (2000, 1 / math.sqrt(512) * 2000 / 4000**1.5),
        (4000, 1 / math.sqrt(512) / math.sqrt(4000)),  # 6.9877e-04, the peak
        (100_000, 1 / math.sqrt(512) / math.sqrt(100_000)),  # 1.3975e-04
    ],
)
def test_noam_is_the_papers(step, expected):
    assert rate(step) == pytest.approx(expected, rel=1e-6)
    assert rate(step, learning_rate=2.0) == pytest.approx(2 * expected, rel=1e-6)
    assert rate(step, d_model=128) == pytest.approx(2 * expected, rel=1e-6)


def test_noam_in_numbers():
    assert [rate(step) for step in (1, 4000, 100_000)] == pytest.approx([1.74693e-07, 6.98771e-04, 1.39754e-04], 1e-5)


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 0.005 / 2000), (500, 0.00125), (2000, 0.005), (8000, 0.0025), (200_000, 0.0005)]
)
def test_inverse_sqrt(step, expected):
    found = rate(step, schedule="inverse_sqrt", learning_rate=0.005, warmup_steps=2000)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 1e-5), (50, 5e-4), (100, 1e-3), (575, 5.5e-4), (1050, 1e-4), (5000, 1e-4)],
)
def test_cosine(step, expected):
    cosine = dict(schedule="cosine", learning_rate=1e-3, final_learning_rate=1e-4, warmup_steps=100, steps=1050)
    assert rate(step, **cosine) == pytest.approx(expected, rel=1e-5)


def test_cosine_without_warmup_starts_near_the_peak():
    found = rate(1, schedule="cosine", learning_rate=1.0, warmup_steps=0, steps=4)
    assert found == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4), rel=1e-6)


@pytest.mark.parametrize(("step", "expected"), [(1, 0.03), (10, 0.3), (11, 0.3), (10_000, 0.3)])
def test_constant(step, expected):
    assert rate(step, schedule="constant", learning_rate=0.3, warmup_steps=10) == pytest.approx(expected, rel=1e-6)
    assert rate(step, schedule="constant", learning_rate=0.3, warmup_steps=0) == pytest.approx(0.3, rel=1e-6)


def adam(config, params, gradients, d_model):
    """Kingma and Ba, algorithm 1, with AdamW's decay of matrices and clipping by the norm of all gradients."""
    first, second = ({name: np.zeros_like(x) for name, x in params.items()} for _ in range(2))
    for t, gradient in enumerate(gradients, start=1):
        norm = math.sqrt(sum(np.sum(g * g) for g in gradient.values()))
        shrink = min(1.0, config.gradient_clip / norm) if config.gradient_clip else 1.0
        learning_rate = rate(t, d_model, schedule=config.schedule, learning_rate=config.learning_rate, warmup_steps=2)
        for name, param in params.items():
            g = gradient[name] * shrink
            first[name] = config.adam_b1 * first[name] + (1 - config.adam_b1) * g
            second[name] = config.adam_b2 * second[name] + (1 - config.adam_b2) * g * g
            m_hat = first[name] / (1 - config.adam_b1**t)
            v_hat = second[name] / (1 - config.adam_b2**t)
            decay = config.weight_decay * param if param.ndim > 1 else 0.0
            params = {
                **params,
                name: param - learning_rate * (m_hat / (np.sqrt(v_hat) + config.adam_epsilon) + decay),
            }
    return params


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.3},
        {"gradient_clip": 0.5},
        {"gradient_clip": 1e6},
        {"weight_decay": 0.1, "gradient_clip": 1.0, "adam_b1": 0.5, "adam_b2": 0.9, "adam_epsilon": 1e-3},
    ],
)
def test_five_updates_of_adam(changes):
    config = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=2, **changes)
    random = np.random.default_rng(0)
    params = {"kernel": random.standard_normal((3, 4)), "bias": random.standard_normal(4)}
    gradients = [{name: random.standard_normal(x.shape) for name, x in params.items()} for _ in range(5)]

    optimizer = make_optimizer(config, make_schedule(config, 512))
    found = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    state = optimizer.init(found)
    for gradient in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, gradient), state, found)
        found = optax.apply_updates(found, updates)

    expected = adam(config, params, gradients, 512)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=2e-6)


def test_weight_decay_leaves_vectors_alone():
    config = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
    params = {"kernel": jnp.ones((2, 2)), "heads": jnp.ones((2, 1, 2)), "gamma": jnp.ones(2)}
    params["query_bias"] = jnp.ones((2, 2))  # by head
    optimizer = make_optimizer(config, make_schedule(config, 512))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_allclose(updates["heads"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(updates["gamma"], 0.0)
    np.testing.assert_array_equal(updates["query_bias"], 0.0)


def test_weight_decay_sees_through_stacked_layers():
    # With scan_layers a bias of each of three layers is one array of two axes.
    config = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
    params = {"encoder": {"layers": {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones((3, 2))}}}
    optimizer = make_optimizer(config, make_schedule(config, 512))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["encoder"]["layers"]["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(updates["encoder"]["layers"]["bias"], 0.0)


def test_weight_decay_knows_matrices_by_name_in_boxed_parameters_too():
    # As a model is made under logical axis rules: every parameter is in a box with the names of its axes.
    config = TrainingConfig(schedule="constant", learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
    params = {"kernel": jnp.ones((2, 2)), "query_bias": jnp.ones((2, 2))}
    boxed = {name: nn.LogicallyPartitioned(x, ("heads", "kv")) for name, x in params.items()}
    optimizer = make_optimizer(config, make_schedule(config, 512))
    state = nn.unbox(optimizer.init(boxed))
    assert jax.tree.structure(state) == jax.tree.structure(optimizer.init(params))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), state, params)
    np.testing.assert_allclose(updates["kernel"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(updates["query_bias"], 0.0)
