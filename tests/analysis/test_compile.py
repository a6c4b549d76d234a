"""The compiled step's account on eight host devices, against what the arrays themselves say."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from tiny import mesh_of, random_batch, start_state, tiny_model, training_config

from tfmr.analysis.compile import bytes_per_chip, compile_step, step_inputs
from tfmr.config import Config, MeshConfig, PairsConfig
from tfmr.data.batching import make_plan
from tfmr.errors import InputError
from tfmr.training.sharding import make_mesh

# Tables of their own: of a tied one, the gradients of its uses are reduced one by one on CPUs.
MODEL = tiny_model(tie_embeddings="none")
CONFIG = Config(
    model=MODEL.config,
    data=PairsConfig(tokens_per_batch=300, max_length=10),
    training=training_config(loss_chunk=4096),
)
PARAMETERS = sum(x.size for x in jax.tree.leaves(start_state(MODEL, training_config())[0].params))


@functools.cache
def compiled(*shape, **training):
    config = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, **training))
    inputs = step_inputs(config, mesh_of(*shape))
    return inputs, compile_step(inputs, None)


def sums(step, kind):
    return sum(one.times * one.bytes for one in step.collectives if one.kind == kind)


def test_the_inputs_are_those_of_training():
    mesh = mesh_of(2, 2, 2)
    config = training_config(ema_decay=0.9)
    inputs = step_inputs(dataclasses.replace(CONFIG, training=config), mesh)
    state, sharding = start_state(MODEL, config, mesh)
    assert inputs.sharding == sharding
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), inputs.state) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.sharding), state
    )
    assert bytes_per_chip(inputs.state) == sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    # The names and types of a batch, and the shape of the plan's longest one.
    assert {(name, x.dtype) for name, x in inputs.batch.items()} == {(k, x.dtype) for k, x in random_batch().items()}
    lengths = np.array([3, 5, 9, 10])
    plan = make_plan(lengths, lengths, tokens_per_batch=300, num_buckets=2, max_length=10, seed=0)
    assert plan.buckets[-1] == inputs.bucket
    assert {x.shape for x in inputs.batch.values()} == {(24, 12)}


def test_rows_are_rounded_up_to_the_parts_of_the_batch_and_of_the_accumulation():
    config = dataclasses.replace(CONFIG, training=training_config(accumulation=5))
    assert step_inputs(config, mesh_of(8, 1, 1)).rows == 40


def test_data_parallel_reduces_every_gradient_once_and_little_else():
    inputs, step = compiled(8, 1, 1)
    assert {(one.kind, one.group) for one in step.collectives} == {("all-reduce", 8)}
    # The loss sums and the norm come on top, a few numbers.
    parameters = bytes_per_chip(inputs.state.params)
    assert parameters == sum(4 * x.size for x in jax.tree.leaves(inputs.state.params))
    assert 0 <= sums(step, "all-reduce") - parameters < 100


def test_fully_sharded_parameters_are_gathered():
    inputs, step = compiled(1, 8, 1)
    whole = sum(x.size * 4 for x in jax.tree.leaves(inputs.state.params) if not x.sharding.is_fully_replicated)
    assert whole > 2 * PARAMETERS
    # Once for the forward pass; the compiler may keep them or gather them again for the backward pass.
    assert whole <= sums(step, "all-gather") <= 2 * whole + 4 * 8 * PARAMETERS / 10
    assert sums(step, "all-reduce") + sums(step, "reduce-scatter") >= 4 * PARAMETERS


@pytest.mark.parametrize(("shape", "parts"), [((8, 1, 1), 1), ((1, 8, 1), 8), ((1, 1, 8), 8)])
def test_memory_is_what_the_arrays_take(shape, parts):
    inputs, step = compiled(*shape)
    # All but norms, some biases and (for fsdp) the table are divided among the parts.
    held = bytes_per_chip(inputs.state.params)
    replicated = sum(x.size * 4 for x in jax.tree.leaves(inputs.state.params) if x.sharding.is_fully_replicated)
    assert held == pytest.approx(replicated + (4 * PARAMETERS - replicated) / parts)
    # Adam keeps two numbers a parameter, and two counters.
    assert bytes_per_chip(inputs.state.opt_state) == 2 * held + 8
    # The batch of which the step does not read an array is left out by the compiler.
    total = bytes_per_chip(inputs.state) + bytes_per_chip(inputs.batch)
    assert total - bytes_per_chip(inputs.batch) <= step.arguments <= total
    assert step.peak >= step.arguments + step.temporaries


def test_operations_are_divided_among_the_chips_and_do_not_depend_on_loops():
    flops = {shape: compiled(*shape)[1].matrix_flops for shape in ((8, 1, 1), (1, 1, 8))}
    assert len(set(flops.values())) == 1
    inputs, step = compiled(8, 1, 1, accumulation=3)
    assert inputs.rows == 24
    assert step.matrix_flops == flops[8, 1, 1]
    # The compiler counts one of three rounds; the account of memory does not.
    assert step.compiler_flops < 0.6 * compiled(8, 1, 1)[1].compiler_flops
    # Each round reduces its gradients.
    assert sums(step, "all-reduce") >= 3 * 4 * PARAMETERS


def test_a_size_that_does_not_divide_is_refused_before_compiling():
    with pytest.raises(InputError, match=r"cannot be sharded"):
        step_inputs(dataclasses.replace(CONFIG, model=tiny_model(num_heads=6).config), mesh_of(1, 1, 4))
    with pytest.raises(InputError, match=r"mesh = .*does not fit 6 devices"):
        make_mesh(MeshConfig(data=4), jax.devices()[:6])
