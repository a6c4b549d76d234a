"""Where the time of a training step goes on a TPU, by the compiler's own estimates.

A program that is compiled for a TPU holds an estimate of the cycles of each of its instructions, except kernels and
collectives. Those are added here as if nothing overlapped: a kernel takes the longer of its FLOPs at the chip's peak
and its bytes at the bandwidth of the main memory, a collective its bytes at the bandwidth of the links.
"""

import re
from collections import defaultdict

from tfmr.analysis.collectives import Collective
from tfmr.analysis.program import Instruction, Program, first, sizes_in_bytes
from tfmr.models.chips import Chip

PARTS = {
    "normalization": r"norm\b",
    "attention": r"attention",
    "feed-forward": r"feed_forward",
    "embedding": r"embed",
    "loss": r"\bloss\b",
    "optimizer": r"\boptimizer\b",
}
"""Parts of a step, and patterns of the scopes that they have in a program. The first that is found counts."""


def cycles_by_part(program: Program, collectives: list[Collective], chip: Chip) -> dict[str, float]:
    """Returns the cycles of each part of a step, longest first; empty if the compiler gave no estimates.

    Args:
      program: the program, compiled for a TPU. The body of a loop counts once per iteration.
      collectives: those of the program.
      chip: the TPU, with its clock.
    """
    runs = program.runs()
    found: dict[str, float] = defaultdict(float)
    for name in program.control_flow():
        sizes = {one.name: sum(sizes_in_bytes(one.result)) for one in program.computations.get(name, ())}
        for instruction in program.computations.get(name, ()):
            found[_part(instruction)] += runs[name] * _cycles(instruction, sizes, chip)
    if not any(found.values()):
        return {}
    sent = sum((one.bytes_sent() for one in collectives), 0.0)
    found["collectives"] = chip.clock * sent / chip.link_bandwidth
    return {part: cycles for part, cycles in sorted(found.items(), key=lambda one: -one[1]) if cycles}


def _part(instruction: Instruction) -> str:
    scope = first(r'op_name="([^"]*)"', instruction.rest) or ""
    return next((part for part, pattern in PARTS.items() if re.search(pattern, scope)), "other")


def _cycles(instruction: Instruction, sizes: dict[str, int], chip: Chip) -> float:
    if instruction.operation == "while":
        return 0.0  # its body counts
    if estimate := first(r'"estimated_cycles":"(\d+)"', instruction.rest):
        return float(estimate)
    if '"tpu_custom_call"' not in instruction.rest:
        return 0.0
    flops = int(first(r'"flops":"?(\d+)', instruction.rest) or 0)
    moved = sizes[instruction.name] + sum(sizes.get(operand, 0) for operand in instruction.operands)
    return chip.clock * max(flops / chip.flops, moved / chip.hbm_bandwidth)
