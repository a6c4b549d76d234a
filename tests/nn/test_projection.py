"""The product with its own gradients, against the plain one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
