"""`project` against the plain product, under jax's transformations, and what it saves on CPUs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental.jet import jet
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads
from reference import relative_error
from transformations import check_transformations

from tfmr.nn.projection import project

SHAPES = pytest.mark.parametrize(("d_in", "d_out"), [(3, 11), (11, 3), (5, 5)], ids=["up", "down", "square"])


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@SHAPES
def test_the_product_and_its_gradients_are_those_of_the_formula(d_in, d_out):
    x, kernel, gradient = draw(4, 7, d_in), draw(d_in, d_out, seed=1), draw(4, 7, d_out, seed=2)
    output, pull = jax.vjp(project, x, kernel)
    of_x, of_kernel = pull(gradient)
    wide_x, wide_kernel, wide_gradient = (np.asarray(array, np.float64) for array in (x, kernel, gradient))
    assert relative_error(output, wide_x @ wide_kernel) < 1e-6
    assert relative_error(of_x, wide_gradient @ wide_kernel.T) < 1e-6
    rows = wide_x.reshape(-1, d_in), wide_gradient.reshape(-1, d_out)
    assert relative_error(of_kernel, rows[0].T @ rows[1]) < 1e-6


@SHAPES
def test_it_is_differentiated_forward_and_backward_and_again(d_in, d_out):
    def function(x, kernel):
        return jnp.tanh(project(jnp.asarray(x), jnp.asarray(kernel))).sum()

    check_grads(function, (draw(2, 3, d_in), 0.3 * draw(d_in, d_out, seed=1)), order=2, modes=["fwd", "rev"], rtol=0.02)


def test_the_same_plain_and_transformed():
    check_transformations(lambda kernel, x: project(x, kernel), draw(6, 9), draw(8, 5, 6, seed=1))


def test_kernels_and_gradients_can_be_mapped():
    x, kernels = draw(3, 4, 6), draw(3, 6, 9, seed=1)
    loss = jax.grad(lambda x, kernel: (project(x, kernel) ** 2).sum(), argnums=(0, 1))
    mapped = jax.vmap(loss)(x, kernels)
    for i in range(3):
        for found, expected in zip(mapped, loss(x[i], kernels[i]), strict=True):
            assert relative_error(found[i], expected) < 1e-6
    alone = jax.vmap(lambda kernel: project(x[0], kernel))(kernels)
    assert relative_error(alone, jnp.einsum("ti,nio->nto", x[0], kernels)) < 1e-6


def squares(x, kernel):
    return (project(x, kernel) ** 2).sum()


def plain_squares(x, kernel):
    return ((x @ kernel) ** 2).sum()


def mesh_of(axis_type, **axes):
    shape = tuple(axes.values())
    devices = jax.devices()[: np.prod(shape)]
    return jax.make_mesh(shape, tuple(axes), axis_types=(axis_type,) * len(axes), devices=devices)


@pytest.mark.parametrize("batch", [(), (5,), (4, 7), (2, 3, 4), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.bfloat16])
def test_every_number_of_batch_axes_in_other_types(batch, dtype):
    with jax.enable_x64(dtype == jnp.float64), jax.numpy_rank_promotion("raise"):
        x, kernel = draw(*batch, 6).astype(dtype), draw(6, 9, seed=1).astype(dtype)
        found, pull = jax.vjp(project, x, kernel)
        expected, plain_pull = jax.vjp(jnp.matmul, x, kernel)
        pairs = [(found, expected), *zip(pull(found), plain_pull(found), strict=True)]
        for one, other in pairs:
            assert (one.shape, one.dtype) == (other.shape, dtype)
            rtol, atol = (1e-12, 1e-12) if dtype == jnp.float64 else (0.02, 0.1)
            np.testing.assert_allclose(np.asarray(one, np.float64), np.asarray(other, np.float64), rtol=rtol, atol=atol)


def test_a_gradient_of_a_gradient_a_tangent_and_a_taylor_series():
    x, kernel, direction = draw(4, 7, 6), draw(6, 9, seed=1), draw(6, 9, seed=2)

    def product_with_hessian(function):
        slope = lambda kernel: jnp.vdot(jax.grad(lambda k: jnp.tanh(function(x, k)).sum())(kernel), direction)  # noqa: E731
        return jax.grad(slope)(kernel)

    assert relative_error(product_with_hessian(project), product_with_hessian(jnp.matmul)) < 1e-5
    tangent = jax.jvp(lambda kernel: project(x, kernel), (kernel,), (direction,))[1]
    assert relative_error(tangent, x @ direction) < 1e-6
    _, series = jet(lambda kernel: squares(x, kernel), (kernel,), ((direction, jnp.zeros_like(kernel)),))
    assert relative_error(series[1], 2 * ((x @ direction) ** 2).sum()) < 1e-5


def test_a_remat_policy_saves_the_product():
    x, kernel = draw(4, 7, 6), draw(6, 6, seed=1)

    def loss(kernel):
        return jnp.sin(project(jnp.tanh(project(x, kernel)), kernel)).sum()

    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    gradient = jax.grad(jax.checkpoint(loss, policy=policy))
    # Two products forward, three backward: the first one's input is constant. None is computed again.
    assert str(jax.make_jaxpr(gradient)(kernel)).count("dot_general") == 5
    assert str(jax.make_jaxpr(jax.grad(jax.checkpoint(loss)))(kernel)).count("dot_general") > 5
    assert relative_error(gradient(kernel), jax.grad(loss)(kernel)) < 1e-6


def test_in_a_scan_over_layers():
    x, kernels = draw(4, 7, 6), draw(3, 6, 6, seed=1)

    def loss(kernels, product):
        return jax.lax.scan(lambda x, kernel: (jnp.tanh(product(x, kernel)), None), x, kernels)[0].sum()

    assert relative_error(jax.grad(loss)(kernels, project), jax.grad(loss)(kernels, jnp.matmul)) < 1e-5


def test_shard_map_refuses_a_varying_result_that_is_said_to_be_replicated():
    mesh, specs = mesh_of(AxisType.Auto, data=4), (PartitionSpec("data"), PartitionSpec())
    function = jax.shard_map(
        lambda x, kernel: project(x, kernel).sum(), mesh=mesh, in_specs=specs, out_specs=PartitionSpec()
    )
    with pytest.raises(ValueError, match="replication"):
        function(draw(8, 3, 6), draw(6, 5, seed=1))


def test_shard_map_sums_the_gradient_of_a_replicated_kernel_and_not_that_of_a_varying_one():
    mesh, specs = mesh_of(AxisType.Auto, data=4), (PartitionSpec("data"), PartitionSpec())
    x, kernel = draw(8, 3, 6), draw(6, 5, seed=1)

    def replicated(x, kernel):
        return jax.grad(lambda kernel: jax.lax.pmean(squares(x, kernel), "data"))(kernel)

    def varying(x, kernel):
        return replicated(x, jax.lax.pcast(kernel, ("data",), to="varying"))

    expected = jax.vmap(jax.grad(plain_squares, argnums=1), (0, None))(x.reshape(4, 2, 3, 6), kernel) / 4
    found = jax.shard_map(varying, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("data"))(x, kernel)
    assert relative_error(found.reshape(4, 6, 5), expected) < 1e-6
    found = jax.shard_map(replicated, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())(x, kernel)
    assert relative_error(found, expected.sum(axis=0)) < 1e-6


def test_exported_with_symbolic_sizes():
    batch, length = export.symbolic_shape("batch, length")
    function = jax.jit(jax.value_and_grad(squares, argnums=(0, 1)))
    shapes = jax.ShapeDtypeStruct((batch, length, 6), jnp.float32), jax.ShapeDtypeStruct((6, 5), jnp.float32)
    x, kernel = draw(4, 7, 6), draw(6, 5, seed=1)
    found = export.export(function)(*shapes).call(x, kernel)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(function(x, kernel)), strict=True):
        assert relative_error(one, other) < 1e-6


@pytest.mark.parametrize("batch", [("data", None), ("data", "length"), (None, "length"), (("data", "length"), None)])
def test_explicit_axes_stay_where_they_are(batch):
    mesh = mesh_of(AxisType.Explicit, data=2, length=2, tensor=2)
    with jax.set_mesh(mesh):
        x = jax.device_put(draw(8, 4, 6), NamedSharding(mesh, PartitionSpec(*batch, None)))
        kernel = jax.device_put(draw(6, 10, seed=1), NamedSharding(mesh, PartitionSpec(None, "tensor")))
        output = jax.jit(project)(x, kernel)
        gradients = jax.jit(jax.grad(squares, argnums=(0, 1)))(x, kernel)
    assert jax.typeof(output).sharding.spec == PartitionSpec(*batch, "tensor")
    wide_x, wide_kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    wide = wide_x @ wide_kernel
    expected = 2 * wide @ wide_kernel.T, np.einsum("bti,bto->io", wide_x, 2 * wide)
    for found, argument, value in zip(gradients, (x, kernel), expected, strict=True):
        assert jax.typeof(found).sharding == jax.typeof(argument).sharding
        assert relative_error(found, value) < 1e-6


def test_backward_on_a_cpu_nothing_is_transposed_where_the_plain_product_transposes():
    def transposes(product):
        def loss(kernels, x):
            return (product(jnp.tanh(product(x, kernels[0])), kernels[1]) ** 2).sum()

        kernels = draw(96, 384), draw(384, 96, seed=1)
        program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(kernels, draw(4, 64, 96, seed=2)).compile().as_text()
        return len(re.findall(r" transpose\(", str(program)))

    assert transposes(project) == 0
    assert transposes(jnp.matmul) > 0, "XLA:CPU no longer copies: tfmr.nn.projection can go, for plain products"
