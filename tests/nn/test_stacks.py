"""Stacks of layers: a loop, a scan and recomputation compute the same function."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import double, random_parameters, relative_error
from transformations import check_transformations

from tfmr.nn import Decoder, Encoder, LayerConfig, stack_layers, unstack_layers
from tfmr.training.sharding import LOGICAL_AXIS_RULES

BATCH, TARGET, SOURCE, D_MODEL, LAYERS = 8, 5, 7, 12, 2
SHAPE = dict(num_heads=3, d_model=D_MODEL, d_ff=20, d_k=6, d_v=5)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


X, MEMORY = draw(BATCH, TARGET, D_MODEL), draw(BATCH, SOURCE, D_MODEL, seed=1)


def encoder(norm="post", dropout_rate=0.0, **options):
    return Encoder(
        LayerConfig(**SHAPE, norm=norm, dropout_rate=dropout_rate), LAYERS, final_norm=norm == "pre", **options
    )


def decoder(norm="post", recurrence="none", **options):
    layer = LayerConfig(**SHAPE, norm=norm, decoder_recurrence=recurrence)
    return Decoder(layer, LAYERS, final_norm=norm == "pre", **options)


def recurrent_decoder(norm="post", **options):
    return decoder(norm, "ssru", **options)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_stack_is_its_layers_one_after_the_other(norm):
    stack = encoder(norm)
    params = random_parameters(stack, X)
    expected = double(X[0])
    for i in range(LAYERS):
        expected = reference.encoder_layer(double(params)[f"layer_{i}"], expected, norm=norm)
    if norm == "pre":
        expected = reference.layer_norm(double(params)["norm"], expected)
    assert relative_error(stack.apply({"params": params}, X)[0], expected) < 1e-6


def test_the_decoder_is_the_same_under_jit_vmap_and_pmap():
    # Scanned, so that little is compiled; the whole Transformer's test has the loop.
    stack = decoder("pre", scan=True)
    params = stack_layers(random_parameters(decoder("pre"), X, MEMORY))
    check_transformations(lambda params, *x: stack.apply({"params": params}, *x), params, X, MEMORY)


def value_and_gradients(make, options, params):
    """Returns the output and the parameters' gradients of its product with a fixed direction."""
    inputs = (X[:2],) if make is encoder else (X[:2], MEMORY[:2])

    def loss(params):
        output = make("pre", **options).apply({"params": params}, *inputs)
        return (output * draw(*output.shape, seed=3)).sum(), output

    (_, output), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return output, gradients


@pytest.fixture(scope="module", params=[encoder, decoder, recurrent_decoder], ids=["encoder", "decoder", "ssru"])
def loop(request):
    """A function that creates a stack, the parameters of the stack as a loop, and its output and gradients."""
    make = request.param
    params = random_parameters(make("pre"), *([X] if make is encoder else [X, MEMORY]))
    return make, params, value_and_gradients(make, {}, params)


@pytest.mark.parametrize("options", [{"scan": True}, {"remat": True}, {"scan": True, "remat": True}], ids=str)
def test_scan_and_remat_are_the_loop_with_its_gradients(loop, options):
    make, params, (expected, expected_gradients) = loop
    scanned = options.get("scan", False)
    output, gradients = value_and_gradients(make, options, stack_layers(params) if scanned else params)
    gradients = unstack_layers(gradients) if scanned else gradients
    assert relative_error(output, expected) < 1e-6
    assert jax.tree.structure(gradients) == jax.tree.structure(expected_gradients)
    for found, wanted in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        assert relative_error(found, wanted) < 1e-5


def test_on_accelerators_a_scan_keeps_only_what_is_dear_to_compute(loop, monkeypatch):
    make, params, (_, expected) = loop
    params, inputs = stack_layers(params), [X] if make is encoder else [X, MEMORY]

    def kept():
        backward = jax.eval_shape(
            lambda p: jax.vjp(lambda p: make(scan=True).apply({"params": p}, *inputs), p)[1], params
        )
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))

    everything = kept()
    monkeypatch.setattr("tfmr.nn.stacks.platform", lambda: "tpu")
    assert kept() < 0.7 * everything
    _, gradients = value_and_gradients(make, {"scan": True}, params)
    for found, wanted in zip(*map(jax.tree.leaves, (unstack_layers(gradients), expected)), strict=True):
        assert relative_error(found, wanted) < 1e-5


class DropoutLayer(nn.Module):
    """Adds a learned vector after dropout."""

    @nn.compact
    def __call__(self, x, mask=None, *, deterministic):
        init = nn.with_logical_partitioning(nn.initializers.normal(), ("embed",))
        bias = self.param("bias", init, (x.shape[-1],))
        return x + nn.Dropout(0.5)(jnp.broadcast_to(bias, x.shape), deterministic=deterministic)


class DropoutStack(Encoder):
    """A stack of `DropoutLayer`."""

    def make_layer(self, name=None):
        return DropoutLayer(name=name)


@pytest.mark.parametrize("scan", [False, True])
def test_remat_recomputes_the_same_dropout(scan):
    def gradients(remat):
        stack = DropoutStack(LayerConfig(**SHAPE), LAYERS, scan=scan, remat=remat)
        params = nn.unbox(stack.init(jax.random.key(0), X, deterministic=True))
        rngs = {"dropout": jax.random.key(1)}
        loss = jax.jit(lambda p: jnp.square(stack.apply(p, X, deterministic=False, rngs=rngs)).sum())
        return jax.grad(loss)(params)

    for found, wanted in zip(jax.tree.leaves(gradients(True)), jax.tree.leaves(gradients(False)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("scan", [False, True])
def test_every_layer_has_its_own_values_and_dropout(scan):
    stack = DropoutStack(LayerConfig(**SHAPE), LAYERS, scan=scan)
    created = nn.unbox(stack.init(jax.random.key(0), X, deterministic=True))["params"]
    first, second = (layer["bias"] for _, layer in sorted(unstack_layers(created).items()))
    assert not np.array_equal(first, second)
    biases = {f"layer_{i}": {"bias": jnp.full(D_MODEL, 10.0**i)} for i in range(LAYERS)}
    params = {"params": stack_layers(biases) if scan else biases}
    rngs = {"dropout": jax.random.key(1)}
    sums = np.asarray(stack.apply(params, 0 * X, deterministic=False, rngs=rngs))
    # A kept bias is doubled. All four sums occur only if the two layers drop independently.
    assert set(np.unique(sums)) == {0, 2, 20, 22}


@pytest.mark.parametrize("scan", [False, True])
def test_remat_keeps_only_the_layers_inputs_for_the_backward_pass(scan):
    def kept(remat):
        stack = encoder(scan=scan, remat=remat)
        params = jax.eval_shape(lambda: stack.init(jax.random.key(0), X))
        backward = jax.eval_shape(lambda params: jax.vjp(lambda p: stack.apply(p, X), params)[1], params)
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    parameters = sum(leaf.size for leaf in jax.tree.leaves(random_parameters(encoder(), X)))
    assert kept(remat=True) <= parameters + (LAYERS + 1) * X.size
    assert kept(remat=False) > parameters + 5 * LAYERS * X.size


def test_stacking_and_back_keeps_every_layer_in_its_place():
    layers = {f"layer_{i}": {"a": jnp.full(2, i), "b": {"c": jnp.array(float(i))}} for i in range(12)}
    tree = {"encoder": {**layers, "norm": {"gamma": jnp.ones(3)}}, "embedding": jnp.zeros(4)}
    stacked = stack_layers(tree)
    assert set(stacked["encoder"]) == {"layers", "norm"}
    # Sorted by number, not by name: layer_10 comes after layer_9.
    assert stacked["encoder"]["layers"]["b"]["c"].tolist() == [float(i) for i in range(12)]
    back = unstack_layers(stacked)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


@pytest.mark.parametrize("scan", [False, True])
def test_every_layers_attention_weights_are_sown(scan):
    loop = encoder()
    params = random_parameters(loop, X)
    _, sown = encoder(scan=scan).apply(
        {"params": stack_layers(params) if scan else params}, X, mutable=["intermediates"]
    )
    names = ["layers"] if scan else [f"layer_{i}" for i in range(LAYERS)]
    assert set(sown["intermediates"]) == set(names)
    for name in names:
        (weights,) = sown["intermediates"][name]["self_attention"]["attention_weights"]
        assert weights.shape == ((LAYERS,) if scan else ()) + (BATCH, 3, TARGET, TARGET)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("make", [encoder, decoder])
def test_every_parameter_names_its_axes(make, scan):
    inputs = (X,) if make is encoder else (X, MEMORY)
    stack = make("pre", scan=scan)
    with nn.logical_axis_rules(LOGICAL_AXIS_RULES):
        boxed = jax.eval_shape(lambda *x: stack.init(jax.random.key(0), *x), *inputs)["params"]
    leaves = jax.tree_util.tree_leaves_with_path(boxed, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned))
    for path, box in leaves:
        assert isinstance(box, nn.LogicallyPartitioned), path
        assert len(box.names) == box.value.ndim, path
        assert all(box.names), path
        in_a_layer = scan and path[0].key == "layers"
        assert (box.names[0] == "layers") == in_a_layer, path


def test_step_by_step_equals_all_at_once_and_scan_cannot():
    stack = decoder("pre")
    params = random_parameters(stack, X, MEMORY)
    expected = stack.apply({"params": params}, X, MEMORY)
    caches = stack.apply({"params": params}, MEMORY, TARGET, method="start_cache")
    step = jax.jit(lambda *a: stack.apply({"params": params}, *a, method="step"))
    for t in range(TARGET):
        output, caches = step(X[:, t : t + 1], caches, jnp.int32(t))
        assert relative_error(output[:, 0], expected[:, t]) < 1e-6
    with pytest.raises(ValueError, match="unstack_layers"):
        decoder("pre", scan=True).apply({"params": stack_layers(params)}, MEMORY, TARGET, method="start_cache")
