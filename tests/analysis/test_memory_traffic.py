"""Memory traffic in closed form, and as the compiler counts it where there are no loops."""

import jax
import jax.numpy as jnp
import pytest

from tfmr.analysis.memory_traffic import memory_traffic
from tfmr.analysis.program import parse_program

SIZE = 4 * 256 * 1024


def compiled(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arguments).compile()


def traffic(function, *shapes):
    return memory_traffic(parse_program(compiled(function, *shapes).as_text()))


def test_each_further_round_of_a_loop_reads_and_writes_what_it_carries():
    def loop(rounds):
        return traffic(lambda x: jax.lax.fori_loop(0, rounds, lambda _, y: jnp.tanh(y) * 2, x), (256, 1024))

    assert loop(17) - loop(7) == pytest.approx(10 * 2 * SIZE, rel=1e-3)


def test_of_stacked_arrays_a_round_reads_and_writes_its_slice():
    def body(carry, x):
        return carry, jnp.tanh(x) * 2

    def loop(rounds):
        return traffic(lambda xs: jax.lax.scan(body, 0.0, xs)[1], (rounds, 256, 1024))

    # Read, written, and the zeros that the results are written over.
    assert loop(19) - loop(9) == pytest.approx(10 * 3 * SIZE, rel=1e-3)


def test_without_loops_it_is_the_compilers_count():
    def function(x, up, down):
        hidden = jax.nn.relu(x @ up)
        return (jax.nn.softmax(hidden @ down) * x).sum()

    program = compiled(jax.grad(function, argnums=(1, 2)), (64, 256), (256, 512), (512, 256))
    expected = program.cost_analysis()["bytes accessed"]
    assert memory_traffic(parse_program(program.as_text())) == pytest.approx(expected, rel=0.05)


def test_a_chips_own_memory_does_not_count():
    text = """
ENTRY %main (w: f32[8,128]) -> f32[8,128] {
  %w = f32[8,128]{1,0:T(8,128)} parameter(0)
  %fetch = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%w)
  %near = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%fetch)
  %sum = f32[8,128]{1,0:T(8,128)S(1)} add(%near, %near)
  ROOT %product = f32[8,128]{1,0:T(8,128)} multiply(%sum, %near)
}
"""
    assert memory_traffic(parse_program(text)) == 2 * 8 * 128 * 4
