"""Label-smoothed cross entropy against its formula in float64, its gradient against derivatives of the formula."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference import relative_error
from tiny import mesh_of, mesh_of_absent

from tfmr.training.loss import automatic_chunk, label_smoothed_cross_entropy
from tfmr.training.sharding import logical_names_on

BATCH, LENGTH, D_MODEL, VOCAB = 3, 12, 8, 11
CHUNKS = [1, 3, 9, 10, 36, 1000]


@pytest.fixture(scope="module")
def arrays():
    """States, table, targets, and weights with whole and half tokens, padding, and a row of padding alone."""
    random = np.random.default_rng(0)
    weights = (random.random((BATCH, LENGTH)) < 0.7).astype(np.float32)
    weights[0, 0] = 0.5
    weights[1] = 0
    return (
        jnp.asarray(random.standard_normal((BATCH, LENGTH, D_MODEL)), jnp.float32),
        jnp.asarray(random.standard_normal((VOCAB, D_MODEL)), jnp.float32),
        jnp.asarray(random.integers(0, VOCAB, (BATCH, LENGTH)), jnp.int32),
        jnp.asarray(weights),
    )


def formula(states, table, targets, weights, label_smoothing):
    """-sum_v q(v) ln p(v) token by token, q the smoothed target distribution: summed loss and cross entropy."""
    loss = cross_entropy = 0.0
    states, table, weights = (np.asarray(x, np.float64) for x in (states, table, weights))
    for b, t in np.ndindex(targets.shape):
        logits = table @ states[b, t]
        log_p = logits - logits.max() - np.log(np.sum(np.exp(logits - logits.max())))
        q = np.full(len(table), label_smoothing / len(table))
        q[targets[b, t]] += 1 - label_smoothing
        loss -= weights[b, t] * (q @ log_p)
        cross_entropy -= weights[b, t] * log_p[targets[b, t]]
    return loss, cross_entropy


@functools.partial(jax.jit, static_argnums=(4, 5))
def sums(states, table, targets, weights, label_smoothing, chunk):
    return label_smoothed_cross_entropy(states, table, targets, weights, label_smoothing=label_smoothing, chunk=chunk)


@functools.partial(jax.jit, static_argnums=(4, 5))
def gradients(states, table, targets, weights, label_smoothing, chunk):
    def loss(states, table):
        return sums(states, table, targets, weights, label_smoothing, chunk).loss

    return jax.grad(loss, argnums=(0, 1))(states, table)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_the_formula(arrays, label_smoothing):
    found = sums(*arrays, label_smoothing, 9)
    loss, cross_entropy = formula(*arrays, label_smoothing)
    assert float(found.loss) == pytest.approx(loss, rel=1e-6)
    assert float(found.cross_entropy) == pytest.approx(cross_entropy, rel=1e-6)
    assert float(found.tokens) == float(arrays[3].sum())


def test_by_hand():
    # Logits (ln 3, 0) are probabilities (3/4, 1/4); 0.2 spread over two tokens makes the target (0.9, 0.1).
    states = jnp.array([[[math.log(3.0), 0.0]]])
    found = label_smoothed_cross_entropy(
        states, jnp.eye(2), jnp.array([[0]]), jnp.ones((1, 1)), label_smoothing=0.2, chunk=1
    )
    assert float(found.loss) == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4), rel=1e-6)
    assert float(found.cross_entropy) == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_it_is_optax_with_smooth_labels(arrays):
    states, table, targets, weights = arrays
    labels = optax.smooth_labels(jax.nn.one_hot(targets, VOCAB), 0.1)
    losses = optax.softmax_cross_entropy(states @ table.T, labels)
    assert float(sums(*arrays, 0.1, 9).loss) == pytest.approx(float((losses * weights).sum()), rel=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_gradients_of_the_plain_formula(arrays, label_smoothing):
    states, table, targets, weights = arrays

    def plain(states, table):
        log_p = jax.nn.log_softmax(states @ table.T)
        right = jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
        return -(weights * ((1 - label_smoothing) * right + label_smoothing * log_p.mean(axis=-1))).sum()

    expected = jax.grad(plain, argnums=(0, 1))(states, table)
    for found, wanted in zip(gradients(*arrays, label_smoothing, 9), expected, strict=True):
        assert relative_error(found, wanted) < 1e-6


def test_the_gradient_by_the_weights_is_the_loss_of_each_token(arrays):
    states, table, targets, weights = arrays
    found = jax.grad(lambda weights: sums(states, table, targets, weights, 0.1, 9).loss)(weights)
    one_at_a_time = np.eye(weights.size).reshape(-1, *weights.shape)
    losses = [formula(states, table, targets, only, 0.1)[0] for only in one_at_a_time]
    np.testing.assert_allclose(np.ravel(found), losses, rtol=1e-6)


def test_gradients_by_finite_differences(arrays):
    random = np.random.default_rng(1)
    states, table = (np.asarray(x, np.float64) for x in arrays[:2])
    d_states, d_table = (np.asarray(x, np.float64) for x in gradients(*arrays, 0.1, 9))
    for _ in range(5):
        direction = random.standard_normal(states.shape), random.standard_normal(table.shape)
        up, down = (
            formula(states + h * direction[0], table + h * direction[1], *arrays[2:], 0.1)[0] for h in (1e-5, -1e-5)
        )
        slope = np.vdot(d_states, direction[0]) + np.vdot(d_table, direction[1])
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-5)


def test_any_chunk_gives_the_same(arrays):
    whole, whole_gradients = sums(*arrays, 0.1, CHUNKS[-1]), gradients(*arrays, 0.1, CHUNKS[-1])
    for chunk in CHUNKS[:-1]:
        assert float(sums(*arrays, 0.1, chunk).loss) == pytest.approx(float(whole.loss), rel=1e-6)
        for found, expected in zip(gradients(*arrays, 0.1, chunk), whole_gradients, strict=True):
            assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("chunk", [6, 9])
def test_no_more_logits_than_a_chunk_exist_at_once(arrays, chunk):
    assert tokens_with_logits(arrays, chunk) == chunk // BATCH * BATCH


def test_a_chunk_is_that_of_one_device(arrays):
    with logical_names_on(mesh_of(2, 2, 2)):
        assert tokens_with_logits(arrays, 3) == 4 * 3


def tokens_with_logits(arrays, chunk):
    """Returns the largest number of tokens whose logits exist at once in the traced program."""
    lowered = gradients.lower(*arrays, 0.1, chunk).as_text()
    return max(int(n) for n in re.findall(rf"tensor<(\d+)x{VOCAB}xf32>", lowered))


def test_the_automatic_chunk_depends_on_the_platform():
    assert automatic_chunk(32_768) == 512
    for kind, platform in (("TPU v5 lite", "tpu"), ("NVIDIA H100 80GB HBM3", "gpu")):
        with logical_names_on(mesh_of_absent(kind, platform, 1, 1, 1)):
            assert automatic_chunk(32_768) == 4096


def test_weight_zero_is_absent(arrays):
    states, table, targets, weights = arrays
    other_states = jnp.where(weights[..., None] == 0, 100.0, states)
    other_targets = jnp.where(weights == 0, 0, targets)
    found = sums(other_states, table, other_targets, weights, 0.1, 9)
    assert float(found.loss) == pytest.approx(float(sums(*arrays, 0.1, 9).loss), rel=1e-6)
    d_states, d_table = gradients(other_states, table, other_targets, weights, 0.1, 9)
    assert not np.asarray(d_states)[np.asarray(weights) == 0].any()
    assert relative_error(d_table, gradients(*arrays, 0.1, 9)[1]) < 1e-6


def test_all_padding_is_zero(arrays):
    states, table, targets, weights = arrays
    arguments = states, table, targets, jnp.zeros_like(weights), 0.1, 9
    found = sums(*arguments)
    assert (float(found.loss), float(found.cross_entropy), float(found.tokens)) == (0, 0, 0)
    assert not any(np.asarray(gradient).any() for gradient in gradients(*arguments))


def test_large_logits_stay_finite(arrays):
    states, table, targets, weights = arrays
    found = sums(1e4 * states, table, targets, weights, 0.1, 9)
    assert float(found.loss) == pytest.approx(formula(1e4 * states, table, targets, weights, 0.1)[0], rel=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients(1e4 * states, table, targets, weights, 0.1, 9))


def test_the_gradient_scales_and_the_cross_entropy_has_none(arrays):
    states, table, targets, weights = arrays

    def mixed(states, table):
        found = sums(states, table, targets, weights, 0.1, 9)
        return 3.0 * found.loss + 5.0 * found.cross_entropy

    def cross_entropy(states, table):
        return sums(states, table, targets, weights, 0.1, 9).cross_entropy

    expected = gradients(*arrays, 0.1, 9)
    for found, wanted in zip(jax.grad(mixed, (0, 1))(states, table), expected, strict=True):
        assert relative_error(found, 3.0 * wanted) < 1e-6
    assert not any(np.asarray(x).any() for x in jax.grad(cross_entropy, (0, 1))(states, table))


def test_bfloat16_states(arrays):
    states, table, targets, weights = arrays
    narrow = states.astype(jnp.bfloat16)
    found = sums(narrow, table, targets, weights, 0.1, 9)
    assert found.loss.dtype == jnp.float32
    # The formula on the rounded numbers: only the mean row of the table is rounded again.
    expected = formula(narrow, table.astype(jnp.bfloat16), targets, weights, 0.1)
    assert float(found.loss) == pytest.approx(expected[0], rel=1e-4)
    assert float(found.cross_entropy) == pytest.approx(expected[1], rel=1e-6)
    d_states, d_table = gradients(narrow, table, targets, weights, 0.1, 9)
    wide = gradients(*arrays, 0.1, 9)
    assert (d_states.dtype, d_table.dtype) == (jnp.bfloat16, jnp.float32)
    assert relative_error(d_states, wide[0]) < 0.01
    assert relative_error(d_table, wide[1]) < 0.01
