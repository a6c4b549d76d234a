"""The choice between fused attention and XLA's: the same numbers, one device or many, and when each of them runs."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import relative_error
from small_transformers import BASE, BATCH, SENTENCES, params_of

from tfmr.config import MeshConfig
from tfmr.models import Transformer
from tfmr.nn import MultiHeadAttention, Segments, attention_choice, causal_attention, segment_mask
from tfmr.nn.attention_choice import fused_instead
from tfmr.training.sharding import logical_names_on, make_mesh

CONFIG = dataclasses.replace(BASE, num_heads=4)
SOURCE_SEGMENTS = jnp.asarray(np.repeat([[1, 1, 1, 2, 2, 0, 0]], BATCH, axis=0))
TARGET_SEGMENTS = jnp.asarray(np.repeat([[1, 1, 2, 2, 0]], BATCH, axis=0))


def loss(params, config):
    segments = dict(source_segments=SOURCE_SEGMENTS, target_segments=TARGET_SEGMENTS)
    logits = Transformer(config).apply({"params": params}, *SENTENCES, **segments)
    return (jnp.sin(logits) * (TARGET_SEGMENTS > 0)[:, :, None]).sum()


def value_and_gradient(config):
    return jax.jit(lambda params: jax.value_and_grad(loss)(params, config))(params_of(CONFIG))


@pytest.fixture(scope="module")
def expected():
    return value_and_gradient(dataclasses.replace(CONFIG, attention="xla"))


def assert_close(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(one, other) < 2e-5


def test_a_model_with_fused_attention_has_the_same_loss_and_gradient(expected):
    config = dataclasses.replace(CONFIG, attention="pallas", remat=True)
    assert_close(value_and_gradient(config), expected)


def test_each_device_computes_its_own_rows_and_heads(expected):
    config = dataclasses.replace(CONFIG, attention="pallas")
    with logical_names_on(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))):
        traced = jax.jit(lambda params: jax.value_and_grad(loss)(params, config)).trace(params_of(CONFIG))
        assert "shard_map" in str(traced.jaxpr)
        found = traced.lower().compile()(params_of(CONFIG))
    assert_close(found, expected)


def test_a_cpu_uses_xla_unless_told_otherwise():
    for attention, has_kernel in (("auto", False), ("xla", False), ("pallas", True)):
        config = dataclasses.replace(CONFIG, attention=attention)
        text = str(jax.make_jaxpr(lambda params, config=config: loss(params, config))(params_of(CONFIG)))
        assert ("pallas_call" in text) == has_kernel


def of_block(block, x, mask, **arguments):
    """Returns whether a block traces a kernel."""
    params = MultiHeadAttention(2, 8).init(jax.random.key(0), x)
    function = lambda x: block.apply(params, x, mask=mask, rngs={"dropout": jax.random.key(0)}, **arguments)  # noqa: E731
    return "pallas_call" in str(jax.make_jaxpr(function)(x))


def test_xla_serves_what_the_kernel_cannot():
    x = jnp.ones((2, 6, 8))
    segments = jnp.ones((2, 6), jnp.int32)
    mask = Segments(segments, segments)
    block = MultiHeadAttention(2, 8, attention="pallas")
    assert of_block(block, x, mask)
    assert of_block(block, x, None)
    assert not of_block(block, x, segment_mask(segments, segments))
    assert not of_block(block, x, mask, return_weights=True)
    assert not of_block(block, x, mask, mutable=["intermediates"])
    assert not of_block(block, x, mask, bias=jnp.zeros((2, 1, 6, 6)))
    dropped = block.clone(dropout_rate=0.5)
    assert of_block(dropped, x, mask)
    assert not of_block(dropped, x, mask, deterministic=False)
    assert not of_block(block, jnp.ones((1, 1025, 8)), None)
    assert of_block(block, jnp.ones((1, 1152, 8)), None)
    assert not of_block(block, x[0], None)
    assert not of_block(block.clone(dtype=jnp.float16), x, mask)


def test_what_cudnn_cannot_serve_is_left_to_xla():
    narrow = jnp.ones((2, 4, 5, 8), jnp.bfloat16)
    options = dict(causal=True, plain_because=None)
    assert fused_instead("cudnn", narrow, narrow, narrow, None, **options) is not None
    for x in (narrow.astype(jnp.float32), narrow[..., :4], jnp.ones((2, 4, 5, 136), jnp.bfloat16)):
        assert fused_instead("cudnn", x, x, x, None, **options) is None
    assert fused_instead("cudnn", narrow, narrow, jnp.ones((2, 4, 5, 16), jnp.bfloat16), None, **options) is None


@pytest.mark.parametrize("bias_shape", [(4, 6, 6), (8, 1, 6, 6)], ids=["of heads", "of rows"])
def test_cudnn_takes_a_bias_on_every_mesh(bias_shape):
    arrays = [jnp.asarray(np.random.default_rng(i).standard_normal((8, 4, 6, 8)), jnp.bfloat16) for i in range(3)]
    bias = jnp.asarray(np.random.default_rng(3).standard_normal(bias_shape), jnp.bfloat16).astype(jnp.float32)
    segments = jnp.asarray(np.repeat([[1, 1, 1, 2, 2, 0]], 8, axis=0))
    mask = Segments(segments, segments)

    def fused(*arrays):
        *arrays, bias = arrays
        options = dict(causal=True, bias=bias, scale=0.5, plain_because=None)
        return fused_instead("cudnn", *arrays, mask, **options)

    def plain(*arrays):
        *arrays, bias = arrays
        return causal_attention(*arrays, mask.mask(), bias=bias, scale=0.5)[0]

    def run(function):
        total = lambda *x: jnp.sin(function(*x).astype(jnp.float32)).sum()  # noqa: E731
        return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2, 3)))(*arrays, bias)

    expected = run(plain)
    with logical_names_on(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))):
        found = run(fused)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert relative_error(one, other) < 2e-2
    odd = [x[:, :, :5] for x in arrays]
    assert fused_instead("cudnn", *odd, None, causal=True, bias=bias[..., :5, :5], plain_because=None) is None


def test_rows_that_cannot_be_divided_over_the_mesh_are_left_to_xla():
    query = jnp.ones((6, 4, 5, 8))
    with logical_names_on(make_mesh(MeshConfig(data=8))):
        assert fused_instead("pallas", query, query, query, None, causal=True, plain_because=None) is None


def test_the_log_of_a_tpu_says_once_which_attention_runs(monkeypatch, caplog):
    monkeypatch.setattr(attention_choice, "platform", lambda: "tpu")
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(attention_choice, "_of_shards", lambda kernel, query, *_: query)
    attention_choice._log_once.cache_clear()
    query = jnp.ones((2, 4, 5, 8))
    with caplog.at_level(logging.INFO, "tfmr"):
        for reason in (None, "the weights have dropout") * 2:
            fused_instead("auto", query, query, query, None, causal=True, plain_because=reason)
    assert [record.getMessage() for record in caplog.records] == [
        "attention: fused_attention",
        "attention: XLA, since the weights have dropout",
    ]
