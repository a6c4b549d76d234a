"""Encoder and decoder layers against section 3.1, with the norm after or before each sub-layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import DecoderLayer, EncoderLayer, LayerConfig

BATCH, TARGET, SOURCE, D_MODEL = 8, 5, 7, 12
SHAPE = dict(num_heads=3, d_model=D_MODEL, d_ff=20, d_k=6, d_v=5)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def some_mask(*shape):
    """At least one key for each query."""
    return jnp.asarray(np.random.default_rng(5).random(shape) < 0.5).at[..., 0].set(True)


X, MEMORY = draw(BATCH, TARGET, D_MODEL), draw(BATCH, SOURCE, D_MODEL, seed=1)
SELF_MASK, CROSS_MASK = some_mask(BATCH, 1, TARGET, TARGET), some_mask(BATCH, 1, TARGET, SOURCE)
NORMS = pytest.mark.parametrize("norm", ["post", "pre"])


@NORMS
def test_encoder_layer_equals_the_formula(norm):
    layer = EncoderLayer(LayerConfig(**SHAPE, norm=norm))
    params = random_parameters(layer, X)
    output = layer.apply({"params": params}, X, mask=SELF_MASK)
    expected = [
        reference.encoder_layer(double(params), double(X[b]), np.asarray(SELF_MASK[b, 0]), norm) for b in (0, 1)
    ]
    assert relative_error(output[:2], expected) < 1e-6


@NORMS
def test_decoder_layer_equals_the_formula(norm):
    layer = DecoderLayer(LayerConfig(**SHAPE, norm=norm))
    params = random_parameters(layer, X, MEMORY)
    output = layer.apply({"params": params}, X, MEMORY, self_mask=SELF_MASK, cross_mask=CROSS_MASK)
    for b in (0, 1):
        masks = np.tril(SELF_MASK[b, 0]), np.asarray(CROSS_MASK[b, 0])
        expected = reference.decoder_layer(double(params), *double((X[b], MEMORY[b])), *masks, norm)
        assert relative_error(output[b], expected) < 1e-6


def test_encoder_layer_is_the_same_under_jit_vmap_and_pmap():
    layer = EncoderLayer(LayerConfig(**SHAPE))
    params = random_parameters(layer, X)

    def encode(params, x, mask):
        return layer.apply({"params": params}, x, mask=mask)

    check_transformations(encode, params, X, SELF_MASK)


def test_decoder_layer_is_the_same_under_jit_vmap_and_pmap():
    layer = DecoderLayer(LayerConfig(**SHAPE, norm="pre"))
    params = random_parameters(layer, X, MEMORY)

    def decode(params, x, memory, self_mask, cross_mask):
        return layer.apply({"params": params}, x, memory, self_mask=self_mask, cross_mask=cross_mask)

    check_transformations(decode, params, X, MEMORY, SELF_MASK, CROSS_MASK)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(TARGET)))
def test_an_encoder_layer_without_positions_moves_with_its_input(order):
    """A layer knows the position of a token only from its position encoding."""
    layer, order = EncoderLayer(LayerConfig(**SHAPE)), np.array(order)
    params = random_parameters(layer, X)
    output = layer.apply({"params": params}, X)
    assert relative_error(layer.apply({"params": params}, X[:, order]), output[:, order]) < 1e-6


@NORMS
def test_step_by_step_equals_all_at_once(norm):
    layer = DecoderLayer(LayerConfig(**SHAPE, norm=norm))
    params = random_parameters(layer, X, MEMORY)
    cross_mask = CROSS_MASK[:, :, :1]
    expected = layer.apply({"params": params}, X, MEMORY, cross_mask=cross_mask)
    cache = layer.apply({"params": params}, MEMORY, TARGET + 2, method="start_cache")
    step = jax.jit(lambda *a: layer.apply({"params": params}, *a, cross_mask=cross_mask, method="step"))
    for t in range(TARGET):
        output, cache = step(X[:, t : t + 1], cache, jnp.int32(t))
        assert relative_error(output[:, 0], expected[:, t]) < 1e-6


class TestDropout:
    """Dropout is on each sub-layer's output, before the residual sum (section 5.4)."""

    rate = 0.4
    x = draw(200, 10, D_MODEL)

    def layer_and_params(self, **rates):
        layer = EncoderLayer(LayerConfig(**SHAPE, norm="pre", **rates))
        return layer, random_parameters(layer, self.x)

    def run(self, layer, params, seed=0):
        rngs = {"dropout": jax.random.key(seed)}
        return layer.apply({"params": params}, self.x, deterministic=False, rngs=rngs)

    def test_drops_its_share_of_every_sub_layer_and_keeps_the_mean(self):
        layer, params = self.layer_and_params(dropout_rate=self.rate)
        # Without feed-forward, what a pre-norm layer adds to its input is the self-attention's output alone.
        silent = {**params, "feed_forward": jax.tree.map(jnp.zeros_like, params["feed_forward"])}
        added = np.asarray(self.run(layer, silent) - self.x)
        whole = np.asarray(layer.apply({"params": silent}, self.x) - self.x)
        dropped = added == 0
        assert dropped.mean() == pytest.approx(self.rate, abs=0.01)
        np.testing.assert_allclose(added[~dropped], whole[~dropped] / (1 - self.rate), rtol=1e-3, atol=1e-5)
        # Over 200 rows the mean of what is added stays: to three standard errors.
        error = np.abs(added.mean(axis=(0, 1)) - whole.mean(axis=(0, 1)))
        assert (error < 4 * (added - whole).std(axis=(0, 1)) / np.sqrt(2000)).all()

    def test_deterministic_is_not_random_and_the_key_decides_otherwise(self):
        layer, params = self.layer_and_params(dropout_rate=self.rate)
        plain, _ = self.layer_and_params()
        np.testing.assert_array_equal(layer.apply({"params": params}, self.x), plain.apply({"params": params}, self.x))
        np.testing.assert_array_equal(self.run(layer, params, seed=1), self.run(layer, params, seed=1))
        assert not np.array_equal(self.run(layer, params, seed=1), self.run(layer, params, seed=2))

    def test_sub_layers_drop_independently(self):
        layer, params = self.layer_and_params(dropout_rate=self.rate)
        rngs = {"dropout": jax.random.key(0)}

        def dropped(silenced):
            kept = {**params, silenced: jax.tree.map(jnp.zeros_like, params[silenced])}
            return np.asarray(layer.apply({"params": kept}, self.x, deterministic=False, rngs=rngs) == self.x)

        attention, feed_forward = dropped("feed_forward"), dropped("self_attention")
        assert (attention & feed_forward).mean() == pytest.approx(self.rate**2, abs=0.01)

    def test_attention_dropout_reaches_the_attention(self):
        layer, params = self.layer_and_params(attention_dropout_rate=self.rate)
        outputs = self.run(layer, params, seed=1), self.run(layer, params, seed=2)
        assert not np.array_equal(*outputs)
        plain = layer.apply({"params": params}, self.x)
        assert relative_error(outputs[0], plain) > 1e-3

    def test_feed_forward_dropout_drops_inner_values(self):
        layer, params = self.layer_and_params(feed_forward_dropout_rate=self.rate)
        # One inner value is 1 at every position, and the network's output is its kept value, times the scale.
        inner = jax.tree.map(jnp.zeros_like, params["feed_forward"])
        inner["up"]["bias"] = inner["up"]["bias"].at[0].set(1.0)
        inner["down"]["kernel"] = inner["down"]["kernel"].at[0].set(1.0)
        silent = {
            **params,
            "feed_forward": inner,
            "self_attention": jax.tree.map(jnp.zeros_like, params["self_attention"]),
        }
        added = np.asarray(self.run(layer, silent) - self.x).round(4)
        assert set(np.unique(added)) == {0, np.float32(1 / (1 - self.rate)).round(4)}
        assert (added[..., 0] == 0).mean() == pytest.approx(self.rate, abs=0.04)


def soft_capped(query, key, value, mask, *, bias, causal, dropout):
    """Attention with tanh-capped scores; its mask and its cache's steps come from the layer."""
    scores = jnp.einsum("...qd,...kd->...qk", query, key) / query.shape[-1] ** 0.5
    scores = 3 * jnp.tanh(scores / 3) + (0 if bias is None else bias)
    if causal:
        ahead = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        mask = ahead if mask is None else mask & ahead
    weights = jax.nn.softmax(jnp.where(mask, scores, -1e30))
    return weights @ value, None


@pytest.mark.parametrize("attention", [None, soft_capped])
def test_step_by_step_with_a_bias_and_an_attention_function_and_a_slot_for_each_row(attention):
    layer = DecoderLayer(LayerConfig(**SHAPE, attention_function=attention, activation=jnp.sin))
    params = {"params": random_parameters(layer, X, MEMORY, cross_mask=CROSS_MASK)}
    bias = draw(1, 3, TARGET, TARGET, seed=3)
    expected = layer.apply(params, X, MEMORY, cross_mask=CROSS_MASK, self_bias=bias)
    plain = DecoderLayer(LayerConfig(**SHAPE, activation=jnp.sin))
    assert (relative_error(plain.apply(params, X, MEMORY, cross_mask=CROSS_MASK, self_bias=bias), expected) > 1e-3) == (
        attention is not None
    )
    assert relative_error(layer.apply(params, X, MEMORY, cross_mask=CROSS_MASK), expected) > 1e-3
    cache = layer.apply(params, MEMORY, TARGET, method="start_cache")
    step = jax.jit(lambda *a, **masks: layer.apply(params, *a, **masks, method="step"))
    # Even rows are one token behind odd ones, and write it again.
    for t in range(TARGET + 1):
        index = jnp.maximum(t - jnp.arange(BATCH) % 2, 0).clip(0, TARGET - 1)
        x = jnp.take_along_axis(X, index[:, None, None], axis=1)
        here = jnp.take_along_axis(
            jnp.broadcast_to(bias, (BATCH, 3, TARGET, TARGET)), index[:, None, None, None], axis=2
        )
        cross = jnp.take_along_axis(CROSS_MASK, index[:, None, None, None], axis=2)
        output, cache = step(x, cache, index, cross_mask=cross, self_bias=here)
        assert relative_error(output, jnp.take_along_axis(expected, index[:, None, None], axis=1)) < 1e-6
