"""Operations counted in traced programs, against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from tfmr.analysis import forward_flops
from tfmr.analysis.matrix_products import matrix_product_flops
from tfmr.models import Transformer, TransformerConfig
from tfmr.nn.fused_attention import fused_attention

SMALL = TransformerConfig(
    vocab_size=37, num_encoder_layers=2, num_decoder_layers=3, d_model=10, d_ff=23, num_heads=3, d_k=5, d_v=7
)


def traced_flops(config, batch, source, target, *, gradient):
    tokens = [jax.ShapeDtypeStruct((batch, n), jnp.int32) for n in (source, target)]
    model = Transformer(config)
    params = jax.eval_shape(model.init, jax.random.key(0), *tokens)

    def loss(params, *tokens):
        return model.apply(params, *tokens).sum()

    function = jax.grad(loss) if gradient else loss
    return matrix_product_flops(jax.make_jaxpr(function)(params, *tokens))


def test_forward_is_the_closed_form():
    for scan_layers in (False, True):
        config = dataclasses.replace(SMALL, scan_layers=scan_layers)
        assert traced_flops(config, 3, 8, 6, gradient=False) == 3 * sum(forward_flops(config, 8, 6).values())


def test_training_is_three_times_that_and_remat_computes_the_layers_once_more():
    forward = forward_flops(SMALL, 8, 6)
    assert traced_flops(SMALL, 3, 8, 6, gradient=True) == 3 * 3 * sum(forward.values())
    layers = sum(forward.values()) - forward["logits"]
    spent = traced_flops(dataclasses.replace(SMALL, remat=True), 3, 8, 6, gradient=True)
    # Not all: what only the layer's last product makes need not be computed again.
    assert 3 * 3 * sum(forward.values()) + 0.6 * 3 * layers < spent <= 3 * (3 * sum(forward.values()) + layers)


def test_loops_repeat_and_of_branches_the_dearest_counts():
    x = jnp.ones((4, 8))
    square = jnp.ones((8, 8))

    def repeated(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: y @ square, x)

    def branched(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ square @ square, lambda x: x @ square, x)

    one = 2 * 4 * 8 * 8
    assert matrix_product_flops(jax.make_jaxpr(jax.jit(repeated))(x)) == 5 * one
    assert matrix_product_flops(jax.make_jaxpr(branched)(x)) == 2 * one


def test_what_devices_compute_each_is_added_up():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    rows = PartitionSpec("data")
    product = jax.shard_map(lambda x, y: x @ y, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 6), (6, 5))]
    assert matrix_product_flops(jax.make_jaxpr(product)(*shapes)) == 2 * 8 * 6 * 5


def test_kernels_count():
    rows, length, heads, width = 3, 128, 2, 128  # neither joined nor padded
    x = jax.ShapeDtypeStruct((rows, length, heads * width), jnp.float32)

    def loss(*arrays):
        return fused_attention(*arrays, num_heads=heads, interpret=True).sum()

    product = 2 * rows * heads * length * length * width
    assert matrix_product_flops(jax.make_jaxpr(loss)(x, x, x)) == 2 * product
    # Backward: the scores again, and the gradients of weights, queries, keys and values.
    assert matrix_product_flops(jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(x, x, x)) == (2 + 5) * product
