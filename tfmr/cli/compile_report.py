"""The output of `tfmr compile`."""

import math
from collections import defaultdict

import jax

from tfmr.analysis.collectives import Collective
from tfmr.analysis.compile import CompiledStep, StepInputs, bytes_per_chip
from tfmr.models.account import forward_flops
from tfmr.models.chips import Chip, roofline

GIB = 2**30


def print_inputs(inputs: StepInputs, chip: Chip | None) -> None:
    """Prints the model, the mesh, the batch, and the share of the state on each chip."""
    model, bucket, state = inputs.config.model, inputs.bucket, inputs.state
    dtype = getattr(model, "dtype", "float32")
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))
    mesh = " ".join(f"{name}={size}" for name, size in inputs.mesh.shape.items())
    print(f"model      {parameters:,} parameters (vocabulary {model.vocab_size:,}), computed in {dtype}")
    print(f"chips      {inputs.mesh.size} x {chip.name if chip else 'CPU device'}, mesh {mesh}")
    of_source = f"{bucket.source_length} source and " if bucket.source_length else ""  # language models have no source
    print(f"batch      {inputs.rows} rows of {of_source}{bucket.target_length} target tokens")
    if inputs.rows > bucket.rows:
        given, needed = inputs.config.data.tokens_per_batch, inputs.rows * bucket.target_length
        print(f"           {bucket.rows} rows contain data (data.tokens_per_batch = {given}); the others are empty, so")
        print(f"           that the rows divide evenly among devices and microbatches; {needed} tokens would fill them")
    print("\nper chip                          GiB")
    trees = {"parameters": state.params, "optimizer state": state.opt_state, "moving average": state.ema_params}
    for name, tree in {**trees, "batch": inputs.batch}.items():
        if tree is not None:
            print(f"  {name:26}{bytes_per_chip(tree) / GIB:9.3f}")
    print("compiling ...", flush=True)


def print_compiled(inputs: StepInputs, step: CompiledStep, chip: Chip | None) -> None:
    """Prints memory, operations, collectives and, if the chip's peak is known, the roofline."""
    _print_memory(step, chip)
    forward = forward_flops(inputs.config.model, inputs.bucket.source_length, inputs.bucket.target_length)
    model_flops = 3 * inputs.bucket.rows * sum(forward.values()) / inputs.mesh.size
    print(f"  {'FLOPs required by the model':32}{model_flops:12.3e}   3 x forward, only rows with data")
    print(f"  {'FLOPs of matrix products':32}{step.matrix_flops:12.3e}   including empty rows and recomputation")
    if step.compiler_flops:
        print(f"  {'FLOPs (compiler)':32}{step.compiler_flops:12.3e}   all operations; loop bodies counted once")
        print(
            f"  {'bytes accessed (compiler)':32}{step.bytes_accessed:12.3e}   in any memory; loop bodies counted once"
        )
    print(f"  {'main memory traffic in bytes':32}{step.memory_traffic:12.3e}   reads and writes; loops counted in full")
    _print_collectives(step.collectives)
    if step.kernels:
        print("\nkernels         " + ", ".join(f"{count} x {name}" for name, count in step.kernels.items()))
    if chip is not None:
        if step.cycles:
            _print_cycles(step.cycles, chip, model_flops)
        _print_roofline(inputs, step, chip, model_flops)


def _print_memory(step: CompiledStep, chip: Chip | None) -> None:
    print(f"  {'temporaries':26}{step.temporaries / GIB:9.3f}")
    has = f" of {chip.hbm_bytes / GIB:.2f} ({100 * step.peak / chip.hbm_bytes:.0f}%)" if chip else ""
    print(f"  {'peak':26}{step.peak / GIB:9.3f}{has}")
    print(f"compiled in {step.seconds:.0f} s\n\nper chip and step")


def _print_collectives(found: list[Collective]) -> None:
    print("\ncollectives of a step            chips   count  GiB exchanged  GiB sent by a chip")
    sums: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for one in found:
        row = sums[one.kind, one.group]
        row[0] += one.times
        row[1] += one.times * one.bytes / GIB
        row[2] += one.bytes_sent() / GIB
    for (kind, group), (count, size, sent) in sorted(sums.items()):
        print(f"  {kind:30}{group:6}{count:8.0f}{size:15.4f}{sent:20.4f}")
    if not found:
        print("  none")


def _print_cycles(cycles: dict[str, float], chip: Chip, model_flops: float) -> None:
    total = sum(cycles.values())
    print(f"\n{'estimate of the TPU compiler':32}{'Mcycles':>8}{'ms':>10}{'share':>8}")
    for part, of_part in {**cycles, "step": total}.items():
        milliseconds = 1e3 * of_part / chip.clock
        print(f"  {part:30}{of_part / 1e6:8.2f}{milliseconds:10.2f}{100 * of_part / total:7.1f}%")
    share = model_flops / (total / chip.clock * chip.flops)
    print(f"  MFU {100 * share:.1f}% at {chip.clock / 1e9:g} GHz, in the compiler's model of the chip, not measured.")
    print(
        "  It has no estimate for kernels and collectives; those are counted by their FLOPs and bytes, without overlap."
    )


def _print_roofline(inputs: StepInputs, step: CompiledStep, chip: Chip, model_flops: float) -> None:
    sent = sum((one.bytes_sent() for one in step.collectives), 0.0)
    line = roofline(chip, flops=step.matrix_flops, bytes_accessed=float(step.memory_traffic), bytes_sent=sent)
    tokens = inputs.bucket.rows * inputs.bucket.target_length
    print(f"\nroofline        compute {_ms(line.compute)}, memory {_ms(line.memory)}, network {_ms(line.network)}")
    for name, seconds in (("full overlap", line.shortest), ("no overlap", line.longest)):
        mfu = model_flops / (seconds * chip.flops)
        print(f"  {name:14}step {_ms(seconds)}, MFU {100 * mfu:.1f}%, {tokens / seconds:,.0f} target tokens/s")
    print(f"  bound by {line.bound}. Published figures of a {chip.name}: {chip.flops / 1e12:g} TFLOP/s in bfloat16,")
    memory, links = chip.hbm_bandwidth / 1e9, chip.link_bandwidth / 1e9
    print(f"  {memory:g} GB/s of memory, {links:g} GB/s sent over all links combined.")
    print("  Assumptions: collectives use rings with zero latency; only matrix products take compute time; each")
    print("  instruction reads its operands and writes its result once; rows with data are full. MFU counts the FLOPs")
    print("  that the model needs. No step was run or timed.")
    if getattr(inputs.config.model, "dtype", "float32") == "float32":
        print("  The config computes in float32; --model.dtype bfloat16 makes activations and some messages smaller.")


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
