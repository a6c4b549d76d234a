"""The traffic of loops in closed form, and as the compiler counts it where the loop is unrolled."""

import jax
import jax.numpy as jnp
import pytest

from tfmr.analysis.loop_bytes import repeated_bytes

SIZE = 4 * 256 * 1024


def text(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arguments).compile().as_text()


def test_each_further_round_reads_and_writes_what_it_carries():
    program = text(lambda x: jax.lax.fori_loop(0, 7, lambda _, y: jnp.tanh(y) * 2, x), (256, 1024))
    assert repeated_bytes(program) == pytest.approx(6 * 2 * SIZE, rel=1e-3)


def test_of_stacked_arrays_a_round_reads_and_writes_its_slice():
    def body(carry, x):
        return carry, jnp.tanh(x) * 2

    program = text(lambda xs: jax.lax.scan(body, 0.0, xs)[1], (9, 256, 1024))
    assert repeated_bytes(program) == pytest.approx(8 * 2 * SIZE, rel=1e-3)


def test_without_loops_there_is_nothing_to_add():
    assert repeated_bytes(text(jnp.tanh, (256, 1024))) == 0
