"""Communication between the chips that run a compiled program."""

import math
import re
from dataclasses import dataclass

from tfmr.analysis.program import Instruction, Program, first, sizes_in_bytes

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclass(frozen=True)
class Collective:
    """One collective operation."""

    kind: str
    """One of KINDS."""
    bytes: int
    """Size of the full array that is reduced, gathered or scattered."""
    group: int
    """Number of chips in a group."""
    times: int
    """Number of executions per run of the program."""

    def bytes_sent(self) -> float:
        """Returns the bytes that each chip sends per run with ring algorithms, which is the minimum."""
        share = (self.group - 1) / self.group
        factor = {"all-reduce": 2 * share, "collective-permute": 1.0}.get(self.kind, share)
        return self.times * factor * self.bytes


def collectives(program: Program) -> list[Collective]:
    """Returns every collective of a compiled program. Those inside loops count once per iteration."""
    runs, fused = program.runs(), program.fused()
    found: dict[tuple[str, str], Collective] = {}
    for name, instructions in program.computations.items():
        for instruction in instructions:
            if instruction.operation.removesuffix("-start") in KINDS and runs[name]:
                one = _collective(instruction, name, program.devices, runs[name])
                # Fusions may split a collective into pieces, which share a channel, to overlap it with other work.
                channel = first(r"channel_id=(\d+)", instruction.rest) if name in fused else None
                found.setdefault((one.kind, channel or f"{name}/{instruction.name}"), one)
    return [one for one in found.values() if one.group > 1]


def _collective(instruction: Instruction, computation: str, devices: int, times: int) -> Collective:
    kind = instruction.operation.removesuffix("-start")
    group = _group_size(instruction.rest, devices)
    sizes = sizes_in_bytes(instruction.result)
    if instruction.operation in ("all-gather-start", "reduce-scatter-start"):
        sizes = sizes[len(sizes) // 2 :]  # operands, then results
    elif instruction.operation == "collective-permute-start":
        sizes = sizes[:1]  # operand, result, and the backend's buffers
    # The TPU compiler writes a reduce-scatter as an all-reduce inside a fusion of this name, which keeps a part.
    scatters = kind == "all-reduce" and computation.startswith("all-reduce-scatter")
    size = sum(sizes) * (group if kind == "reduce-scatter" else 1)
    return Collective("reduce-scatter" if scatters else kind, size, group, times)


def _group_size(attributes: str, devices: int) -> int:
    """Returns the number of devices per group, from any of HLO's notations for groups."""
    mesh = re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", attributes)
    if mesh:
        sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
        parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", mesh[2])
        return math.prod(int(part) if part else sizes[name] for name, part in parts)
    if tiled := first(r"replica_groups=\[\d+,(\d+)\]", attributes):
        return int(tiled)
    if listed := first(r"replica_groups=\{\{([\d,]+)\}", attributes):
        return listed.count(",") + 1
    return devices
