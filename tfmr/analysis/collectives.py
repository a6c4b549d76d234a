"""What the chips of a compiled program send to each other."""

import math
import re
from dataclasses import dataclass

from tfmr.analysis.program import Instruction, first, parse_program, sizes_in_bytes

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclass(frozen=True)
class Collective:
    """One exchange of data between chips."""

    kind: str
    """One of KINDS."""
    bytes: int
    """Size of what is exchanged, whole: what is reduced, what is gathered, what is scattered."""
    group: int
    """Number of chips among which it is exchanged."""
    times: int
    """How often it happens each time the program runs."""

    def bytes_sent(self) -> float:
        """Returns what each chip sends in all its times, by rings: the least that is possible."""
        share = (self.group - 1) / self.group
        factor = {"all-reduce": 2 * share, "collective-permute": 1.0}.get(self.kind, share)
        return self.times * factor * self.bytes


def collectives(text: str) -> list[Collective]:
    """Returns every collective of a program, those of loops as often as the loops go round.

    Args:
      text: a compiled program, from `compiled.as_text()`.
    """
    program = parse_program(text)
    runs, fused = program.runs(), program.fused()
    found: dict[tuple[str, str], Collective] = {}
    for name, instructions in program.computations.items():
        for instruction in instructions:
            if instruction.operation.removesuffix("-start") in KINDS and runs[name]:
                one = _collective(instruction, name, program.devices, runs[name])
                # Pieces of one collective that fusions hide behind other work share a channel.
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
        sizes = sizes[:1]  # operand, result, and what the backend keeps
    # A TPU writes reduce-scatter as an all-reduce of which a fusion of this name keeps a part.
    scatters = kind == "all-reduce" and computation.startswith("all-reduce-scatter")
    size = sum(sizes) * (group if kind == "reduce-scatter" else 1)
    return Collective("reduce-scatter" if scatters else kind, size, group, times)


def _group_size(attributes: str, devices: int) -> int:
    """The number of devices of one group, from the ways in which HLO writes groups."""
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
