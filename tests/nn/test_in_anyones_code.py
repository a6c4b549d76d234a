"""Every block, and the loss, under the conditions of other people's code: transformations, types, meshes, checks."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from reference import random_parameters, relative_error

from tfmr.nn import (
    SSRU,
    Decoder,
    DecoderLayer,
    Dropout,
    Encoder,
    EncoderLayer,
    LayerConfig,
    LayerNorm,
    LearnedPositions,
    MultiHeadAttention,
    PositionwiseFeedForward,
    RelativePositionBias,
    RMSNorm,
    TokenEmbedding,
    causal_attention,
    scaled_dot_product_attention,
    segment_mask,
    sinusoidal_positions,
    stack_layers,
    tensor2tensor_positions,
)
from tfmr.training import label_smoothed_cross_entropy

BATCH, LENGTH, SOURCE, D_MODEL, HEADS, VOCAB = 8, 6, 5, 8, 2, 11
LAYER = LayerConfig(num_heads=HEADS, d_model=D_MODEL, d_ff=12, attention_bias=True, gated=True, norm="pre")


@dataclasses.dataclass
class Block:
    """A function of parameters and of arrays whose first axis is the batch; every output has that axis, too."""

    function: Callable[..., Any]
    params: Any
    inputs: tuple[jax.Array, ...]
    symbols: tuple[str, ...]
    """The shapes of the inputs in letters: b for the batch, t and s for lengths; digits for fixed sizes."""
    floats: int = 1
    """The number of inputs that have gradients, the first ones."""
    per_row: bool = True
    """Whether a row of the output depends on its own row only."""


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


RECURRENT_LAYER = dataclasses.replace(LAYER, decoder_recurrence="ssru")
X, MEMORY = draw(BATCH, LENGTH, D_MODEL), draw(BATCH, SOURCE, D_MODEL, seed=1)
IDS = jnp.asarray(np.random.default_rng(2).integers(0, VOCAB, (BATCH, LENGTH)), jnp.int32)
SEGMENTS = jnp.asarray(np.arange(LENGTH) < np.arange(BATCH)[:, None] % LENGTH + 1, jnp.int32)
HEADS_X = draw(BATCH, HEADS, LENGTH, 4, seed=3)


def of_module(module, inputs, symbols, *, call=None, floats=1, params=None, **arguments):
    """Returns the Block of a module; `call` is its method if that is not `__call__`, or a function of it."""
    if params is None:
        params = random_parameters(module, *inputs, method=call, **arguments)

    def apply(params, *inputs):
        return module.apply({"params": params}, *inputs, method=call, **arguments)

    return Block(apply, params, inputs, symbols, floats)


def self_attend(layer, x, segments):
    return layer(x, mask=segment_mask(segments, segments))


def cross_attend(layer, x, memory, segments):
    return layer(x, memory, self_mask=segment_mask(segments, segments))


def recur(ssru, x, segments):
    return ssru(x, segment_mask(segments, segments))


def step(attention, x, segments):
    """Writes all but the last position at once, and then the last one in each row at its own slot."""
    cache = attention.start_cache(x.shape[:-2], LENGTH)
    if jax.typeof(x).sharding.spec[0]:  # An empty cache has to be placed as the batch is.
        cache = jax.sharding.reshard(cache, PartitionSpec("data"))
    mask = segment_mask(segments, segments) & jnp.tril(jnp.ones((1, 1, LENGTH, LENGTH), bool))
    _, cache = attention.step(x[:, :-1], cache, jnp.int32(0), mask[:, :, :-1])
    index = jnp.full_like(segments[:, 0], LENGTH - 1)
    return attention.step(x[:, -1:], cache, index)[0]


class T5Layer(nn.Module):
    """A layer with RMSNorm and unscaled scores, and the relative position bias of its stack."""

    @nn.compact
    def __call__(self, x, segments):
        config = dataclasses.replace(LAYER, norm_type="rms", scale_scores=False)
        indices = jnp.arange(x.shape[1])[None]
        bias = RelativePositionBias(HEADS, 8, 6)(indices, indices)
        return EncoderLayer(config)(x, mask=segment_mask(segments, segments), bias=bias)


def dropped(module, x):
    return module(x, deterministic=False)


def loss(table, states, targets, segments):
    weights = (segments > 0).astype(jnp.float32)
    return label_smoothed_cross_entropy(states, table, targets, weights, label_smoothing=0.1, chunk=16).loss


def blocks():
    attention = MultiHeadAttention(HEADS, D_MODEL, use_bias=True, causal=True)
    embedding = TokenEmbedding(VOCAB, D_MODEL)
    encoder = Encoder(LAYER, num_layers=2, causal=True)
    encoder_params = random_parameters(encoder, X)
    long = draw(BATCH, HEADS, 130, 4, seed=4)
    dropout = Block(
        lambda _, x: Dropout(0.5).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(1)}),
        {}, (X,), ("b,t,8",), per_row=False,
    )  # fmt: skip
    heads = "b,2,t,4"
    return {
        "scaled_dot_product_attention": Block(
            lambda _, q, k, v, s: scaled_dot_product_attention(q, k, v, segment_mask(s, s))[0],
            {}, (HEADS_X, HEADS_X + 1, HEADS_X - 1, SEGMENTS), (heads, heads, heads, "b,t"), 3,
        ),
        "causal_attention": Block(
            lambda _, q, k, v: causal_attention(q, k, v)[0], {}, (long, long + 1, long - 1), (heads,) * 3, 3
        ),
        "MultiHeadAttention": of_module(
            MultiHeadAttention(HEADS, D_MODEL, use_bias=True), (X, MEMORY), ("b,t,8", "b,s,8"), floats=2
        ),
        "MultiHeadAttention.step": of_module(attention, (X, SEGMENTS), ("b,6,8", "b,6"), call=step),
        "PositionwiseFeedForward": of_module(PositionwiseFeedForward(12, gated=True), (X,), ("b,t,8",)),
        "LayerNorm": of_module(LayerNorm(), (X,), ("b,t,8",)),
        "RMSNorm": of_module(RMSNorm(), (X,), ("b,t,8",)),
        "RelativePositionBias": of_module(
            RelativePositionBias(HEADS, 8, 6), (IDS, IDS[:, :SOURCE]), ("b,t", "b,s"), floats=0
        ),
        "TokenEmbedding": of_module(embedding, (IDS,), ("b,t",), floats=0),
        "TokenEmbedding.attend": of_module(embedding, (X,), ("b,t,8",), call="attend"),
        "LearnedPositions": of_module(LearnedPositions(VOCAB, D_MODEL), (IDS,), ("b,t",), floats=0),
        "sinusoidal_positions": Block(lambda _, i: sinusoidal_positions(i, D_MODEL), {}, (IDS,), ("b,t",), 0),
        "tensor2tensor_positions": Block(lambda _, i: tensor2tensor_positions(i, D_MODEL), {}, (IDS,), ("b,t",), 0),
        "Dropout": dropout,
        "EncoderLayer": of_module(EncoderLayer(LAYER), (X, SEGMENTS), ("b,t,8", "b,t"), call=self_attend),
        "DecoderLayer": of_module(
            DecoderLayer(LAYER), (X, MEMORY, SEGMENTS), ("b,t,8", "b,s,8", "b,t"), call=cross_attend, floats=2
        ),
        "EncoderLayer(T5)": of_module(T5Layer(), (X, SEGMENTS), ("b,t,8", "b,t")),
        "SSRU": of_module(SSRU(D_MODEL), (X, SEGMENTS), ("b,t,8", "b,t"), call=recur),
        "SSRU.step": of_module(SSRU(D_MODEL), (X, SEGMENTS), ("b,6,8", "b,6"), call=step),
        "DecoderLayer(ssru)": of_module(
            DecoderLayer(RECURRENT_LAYER), (X, MEMORY, SEGMENTS), ("b,t,8", "b,s,8", "b,t"), call=cross_attend, floats=2
        ),
        "Encoder": of_module(encoder, (X, SEGMENTS), ("b,t,8", "b,t"), call=self_attend, params=encoder_params),
        "Encoder(scan)": of_module(
            Encoder(LAYER, num_layers=2, causal=True, scan=True, remat=True), (X, SEGMENTS), ("b,t,8", "b,t"),
            call=self_attend, params=stack_layers(encoder_params),
        ),
        "Decoder": of_module(
            Decoder(LAYER, num_layers=1), (X, MEMORY, SEGMENTS), ("b,t,8", "b,s,8", "b,t"), call=cross_attend, floats=2
        ),
        "label_smoothed_cross_entropy": Block(
            loss, draw(VOCAB, D_MODEL, seed=5), (X, IDS, SEGMENTS), ("b,t,8", "b,t", "b,t"), per_row=False
        ),
    }  # fmt: skip


BLOCKS = blocks()
# What consists of other blocks takes longest.
SLOW = ("Encoder", "Encoder(scan)", "Decoder", "DecoderLayer(ssru)")


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    marks = {name: pytest.mark.slow if name in SLOW else () for name in names}
    return pytest.mark.parametrize("block", [pytest.param(BLOCKS[name], id=name, marks=marks[name]) for name in marks])


EVERY_BLOCK = each(BLOCKS)
# These contain all the others.
WHOLE = each(("Encoder(scan)", "DecoderLayer", "DecoderLayer(ssru)", "label_smoothed_cross_entropy"))


def weighted_sum(output):
    return jnp.vdot(output, jnp.cos(jnp.arange(output.size, dtype=output.dtype)).reshape(output.shape))


def scalar(block):
    """Returns a function of the parameters and inputs with gradients, and its arguments."""
    rest = block.inputs[block.floats :]
    function = lambda params, *inputs: weighted_sum(block.function(params, *inputs, *rest))  # noqa: E731
    return function, (block.params, *block.inputs[: block.floats])


def gradients(block):
    function, arguments = scalar(block)
    return jax.jit(jax.grad(function, argnums=tuple(range(len(arguments)))))(*arguments)


def assert_close(found, expected, tolerance=2e-6):
    found, expected = (jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (found, expected))
    assert relative_error(found, expected) < tolerance


@EVERY_BLOCK
def test_jit_and_vmap(block):
    plain = block.function(block.params, *block.inputs)
    assert_close(jax.jit(block.function)(block.params, *block.inputs), plain)
    if block.per_row:
        alone = jax.vmap(lambda *row: block.function(block.params, *(x[None] for x in row))[0])(*block.inputs)
        assert_close(alone, plain)


@EVERY_BLOCK
def test_checks_of_jax_find_nothing(block):
    with jax.debug_nans(True), jax.numpy_rank_promotion("raise"), jax.checking_leaks():
        gradients(block)


@WHOLE
def test_forward_and_reverse_mode_agree_to_second_order(block):
    function, arguments = scalar(block)
    direction = jax.tree.map(lambda x: jnp.sin(1.0 + jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape), arguments)

    def reverse(*arguments):
        slopes = jax.grad(function, argnums=tuple(range(len(arguments))))(*arguments)
        return sum(map(jnp.vdot, jax.tree.leaves(slopes), jax.tree.leaves(direction)))

    def forward(*arguments):
        return jax.jvp(function, arguments, direction)[1]

    assert_close(jax.jit(forward)(*arguments), jax.jit(reverse)(*arguments), 1e-4)
    twice = [jax.jit(jax.grad(slope, argnums=tuple(range(len(arguments)))))(*arguments) for slope in (forward, reverse)]
    assert_close(*twice, 1e-4)


@EVERY_BLOCK
def test_x64_changes_no_type_and_no_value(block):
    expected = block.function(block.params, *block.inputs)
    with jax.enable_x64(True):
        found = block.function(block.params, *block.inputs)
        assert found.dtype == jnp.float32
        assert_close(found, expected)


@EVERY_BLOCK
def test_bfloat16_inputs(block):
    narrow = [x.astype(jnp.bfloat16) if i < block.floats else x for i, x in enumerate(block.inputs)]
    wide = [x.astype(jnp.float32) if i < block.floats else x for i, x in enumerate(narrow)]
    found = block.function(block.params, *narrow).astype(jnp.float32)
    assert_close(found, block.function(block.params, *wide), 0.02)


@EVERY_BLOCK
def test_exported_with_symbolic_sizes(block):
    sizes = export.SymbolicScope()
    shapes = [export.symbolic_shape(symbols, scope=sizes) for symbols in block.symbols]
    types = [jax.ShapeDtypeStruct(shape, x.dtype) for shape, x in zip(shapes, block.inputs, strict=True)]
    with shapes_unchecked():
        exported = export.export(jax.jit(lambda *inputs: block.function(block.params, *inputs)))(*types)
    assert_close(exported.call(*block.inputs), block.function(block.params, *block.inputs))


@contextlib.contextmanager
def shapes_unchecked():
    """Turns off the tests' checks of shapes and types, which do not know symbolic sizes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def mesh_of(axis_type):
    return jax.make_mesh((4,), ("data",), axis_types=(axis_type,), devices=jax.devices()[:4])


@EVERY_BLOCK
def test_shard_map_over_the_batch(block):
    if not block.per_row:
        pytest.skip("a shard of the batch is another input; see the gradients below")
    rows = PartitionSpec("data")
    specs = (PartitionSpec(), *(rows for _ in block.inputs))
    mapped = jax.shard_map(block.function, mesh=mesh_of(AxisType.Auto), in_specs=specs, out_specs=rows)
    # Outside of jit, each operation would be a program of its own.
    assert_close(jax.jit(mapped)(block.params, *block.inputs), block.function(block.params, *block.inputs))


@WHOLE
def test_gradients_in_shard_map_are_summed_over_the_shards(block):
    def squares(params, *inputs):
        return jnp.sum(block.function(params, *inputs) ** (1 if block.function is loss else 2))

    def of_shard(params, *inputs):
        return jax.grad(lambda params: jax.lax.psum(squares(params, *inputs), "data"))(params)

    specs = (PartitionSpec(), *(PartitionSpec("data") for _ in block.inputs))
    mapped = jax.shard_map(of_shard, mesh=mesh_of(AxisType.Auto), in_specs=specs, out_specs=PartitionSpec())
    assert_close(jax.jit(mapped)(block.params, *block.inputs), jax.grad(squares)(block.params, *block.inputs), 1e-5)


@EVERY_BLOCK
def test_explicit_axes_shard_the_output_as_the_batch(block):
    expected = block.function(block.params, *block.inputs)
    mesh = mesh_of(AxisType.Explicit)
    with jax.set_mesh(mesh):
        put = [jax.device_put(x, NamedSharding(mesh, PartitionSpec("data"))) for x in block.inputs]
        found = jax.jit(block.function)(jax.device_put(block.params, NamedSharding(mesh, PartitionSpec())), *put)
    assert_close(found, expected)
    if expected.ndim:
        assert jax.typeof(found).sharding.spec[0] == "data"


@pytest.mark.parametrize("transform", ["scan", "vmap", "remat"])
def test_layers_in_a_users_own_scan_vmap_and_remat(transform):
    stacked: Any = dict(variable_axes={"params": 0}, split_rngs={"params": True})
    layer = EncoderLayer(LAYER)

    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            if transform == "scan":
                return nn.scan(lambda layer, x, _: (layer(x), None), length=2, **stacked)(EncoderLayer(LAYER), x, None)[
                    0
                ]
            if transform == "vmap":
                return nn.vmap(EncoderLayer, in_axes=None, axis_size=2, **stacked)(LAYER)(x).sum(axis=0)
            return nn.remat(EncoderLayer)(LAYER)(x)

    variables = Two().init(jax.random.key(0), X)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables, is_leaf=nn.meta.is_axis_metadata))
    (params,) = variables["params"].values()
    first, second = (jax.tree.map(lambda p, i=i: p[i], params) for i in range(2))

    def apply(params, x):
        return layer.apply({"params": params}, x)

    if transform == "scan":
        expected = apply(second, apply(first, X))
    elif transform == "vmap":
        expected = apply(first, X) + apply(second, X)
    else:
        expected = apply(params, X)
    assert_close(Two().apply(variables, X), expected)


def test_what_is_refused_is_refused_in_one_line():
    def message(function, *arguments, **options):
        with shapes_unchecked(), pytest.raises((ValueError, TypeError)) as error:
            function(*arguments, **options)
        return str(error.value)

    heads = HEADS_X
    float_mask = jnp.zeros((LENGTH, LENGTH))
    for attention in (scaled_dot_product_attention, causal_attention):
        assert "must be boolean" in message(attention, heads, heads, heads, float_mask)
    assert "must be boolean" in message(SSRU(D_MODEL).init, jax.random.key(0), X, float_mask[None])
    key = jax.random.key(0)
    assert "multiple of num_heads = 3" in message(MultiHeadAttention(num_heads=3, d_model=16).init, key, draw(2, 4, 16))
    assert "'tanh': must be one of relu, gelu, gelu_exact, swish" in message(
        lambda: PositionwiseFeedForward(4, activation="tanh").init(key, X)  # pyright: ignore[reportArgumentType]
    )
