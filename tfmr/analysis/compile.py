"""Compiles the real training step for a mesh and reads the compiled program. No array is created, nothing is run."""

import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from tfmr.analysis.collectives import Collective, collectives
from tfmr.analysis.cycles import cycles_by_part
from tfmr.analysis.kernels import kernels
from tfmr.analysis.matrix_products import matrix_product_flops
from tfmr.analysis.memory_traffic import memory_traffic
from tfmr.analysis.program import parse_program
from tfmr.config import Config
from tfmr.data.batching import Bucket
from tfmr.errors import InputError
from tfmr.models import build_model
from tfmr.models.chips import Chip
from tfmr.training.fine_tuning import learning_of
from tfmr.training.optimizer import make_optimizer, make_schedule
from tfmr.training.sharding import batch_parts, batch_sharding, logical_names_on
from tfmr.training.state import TrainState, abstract_state
from tfmr.training.step import jit_for_sharding, make_train_step
from tfmr.training.task import task_for


@dataclass(frozen=True)
class StepInputs:
    """Shapes, types and shardings of the inputs of a training step."""

    config: Config
    mesh: Mesh
    bucket: Bucket
    """The longest bucket of the configuration's batch plan."""
    state: TrainState
    sharding: TrainState
    batch: dict[str, jax.ShapeDtypeStruct]
    """The number of rows is that of the bucket, rounded up to a multiple of what mesh and accumulation require."""

    @property
    def rows(self) -> int:
        """Number of rows of the batch over all chips."""
        return self.batch["target_input"].shape[0]


@dataclass(frozen=True)
class CompiledStep:
    """Properties of a compiled training step, per chip. Sizes are in bytes."""

    arguments: int
    """State and batch in memory."""
    temporaries: int
    peak: int
    """Arguments, results that do not reuse the arguments' memory, temporaries and program."""
    matrix_flops: float
    """FLOPs of all matrix products of a step including loops and recomputation, divided by the number of chips."""
    compiler_flops: float
    """The compiler's count of all FLOPs, which counts the body of a loop once; 0 if it has none."""
    bytes_accessed: float
    """The compiler's count of bytes read and written in any memory, which counts the body of a loop once; 0 if it has
    none."""
    memory_traffic: int
    """Bytes read from and written to main memory; see `memory_traffic`."""
    collectives: list[Collective]
    kernels: dict[str, int]
    """How often a step calls each kernel; see `kernels`."""
    cycles: dict[str, float]
    """The TPU compiler's estimate for each part of the step, see `cycles_by_part`; empty for other chips."""
    seconds: float
    """Duration of the compilation."""


def step_inputs(config: Config, mesh: Mesh) -> StepInputs:
    """Returns the inputs of a configuration's training step on a mesh. No corpus is read.

    Args:
      config: the configuration, with model.vocab_size set.
      mesh: a mesh from `make_mesh`, of devices of any type.

    Raises:
      InputError: if the size of a parameter is not divisible over the mesh.
    """
    training = config.training
    trainable, factors = learning_of(config, None)
    optimizer = make_optimizer(training, make_schedule(training, config.model.d_model), factors)
    ema = training.ema_decay > 0
    state, sharding = abstract_state(build_model(config.model), optimizer, mesh, ema=ema, trainable=trainable)
    split, longest = task_for(config).longest_batch(config.data)
    arrays = split.arrays(longest, rows_multiple=batch_parts(mesh) * training.accumulation)
    batch = {name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=batch_sharding(mesh)) for name, x in arrays.items()}
    return StepInputs(config, mesh, longest.bucket, state, sharding, batch)


def compile_step(inputs: StepInputs, chip: Chip | None) -> CompiledStep:
    """Compiles the training step for the devices of its mesh, which need not be present.

    Args:
      inputs: the inputs of the step.
      chip: the kind of these devices; None: unknown.

    Raises:
      InputError: if the step needs more memory than a chip has.
    """
    config, mesh = inputs.config, inputs.mesh
    schedule = make_schedule(config.training, config.model.d_model)
    trainable, factors = learning_of(config, None)
    optimizer = make_optimizer(config.training, schedule, factors)
    loss = task_for(config).loss
    model = build_model(config.model)
    step = make_train_step(model, optimizer, schedule, config.training, loss=loss, trainable=trainable)
    start = time.perf_counter()
    with logical_names_on(mesh):
        traced = jit_for_sharding(step, inputs.sharding).trace(inputs.state, inputs.batch)
        lowered = traced.lower()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(f"the step does not fit in memory: {_first_sentences(str(error))}") from None
    seconds = time.perf_counter() - start
    return _read(compiled, matrix_product_flops(traced.jaxpr) / mesh.size, seconds, chip)


def _read(compiled: Any, matrix_flops: float, seconds: float, chip: Chip | None) -> CompiledStep:
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    program = parse_program(compiled.as_text())
    communication = collectives(program)
    new_results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    code = memory.generated_code_size_in_bytes
    return CompiledStep(
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        peak=memory.argument_size_in_bytes + new_results + memory.temp_size_in_bytes + code,
        matrix_flops=matrix_flops,
        compiler_flops=costs.get("flops", 0.0),
        bytes_accessed=costs.get("bytes accessed", 0.0),
        memory_traffic=memory_traffic(program),
        collectives=communication,
        kernels=kernels(program),
        cycles=cycles_by_part(program, communication, chip) if chip is not None and chip.clock else {},
        seconds=seconds,
    )


def _first_sentences(message: str) -> str:
    """Returns the compiler's message without the tables that follow it."""
    lines = [line.strip() for line in message.splitlines()]
    text = lines[: next((i for i, line in enumerate(lines) if not line), len(lines))]
    return " ".join(text).removeprefix("RESOURCE_EXHAUSTED: ")


def bytes_per_chip(tree: Any) -> int:
    """Returns the bytes per chip of a tree of shapes with shardings."""
    leaves = jax.tree.leaves(tree)
    return sum(int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize for x in leaves)
