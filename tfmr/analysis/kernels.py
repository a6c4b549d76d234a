"""Kernels that a compiled program calls besides what the compiler generates itself."""

import re
from collections import Counter

from tfmr.analysis.program import Instruction, Program, first

_NO_KERNELS = {"AllocateBuffer", "annotate_device_placement", "Sharding", "SPMDFullToShardShape"}
"""Custom calls that compute nothing."""


def kernels(program: Program) -> dict[str, int]:
    """Returns how often one run of a program calls each kernel, by name, the most frequent first.

    These are Pallas kernels under their own names, libraries such as cuBLAS and cuDNN, and Triton's matrix products on
    GPUs. Which of the last two the compiler chooses depends on timings that it can only take on a GPU.
    """
    runs, found = program.runs(), Counter()
    for name in program.control_flow():
        for instruction in program.computations.get(name, ()):
            if kernel := _kernel(instruction):
                found[kernel] += runs[name]
    return dict(found.most_common())


def _kernel(instruction: Instruction) -> str | None:
    if instruction.operation == "fusion":
        return first(r'"kind":"(__[^"]+)"', instruction.rest)
    if instruction.operation != "custom-call":
        return None
    target = first(r'custom_call_target="([^"]+)"', instruction.rest) or ""
    if target == "tpu_custom_call":
        return re.sub(r"[.\d]+$", "", instruction.name)
    return None if target in _NO_KERNELS else target
