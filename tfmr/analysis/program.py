"""Reading the text of a compiled program (HLO): its computations, and how often each runs.

Text, not objects, because it is the only form that every backend gives. It needs no jax.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass

_HEADER = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
_SHAPE = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\](\{[^}]*\})?")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclass(frozen=True)
class Instruction:
    """One line of a program."""

    is_root: bool
    """Whether it is its computation's result."""
    name: str
    result: str
    """Its shape, or a tuple of shapes."""
    operation: str
    rest: str
    """Operands and attributes."""

    @property
    def operands(self) -> list[str]:
        """The names of what it is computed from."""
        return re.findall(r"%([\w.-]+)", self.rest.split("), ")[0])

    @property
    def called(self) -> list[str]:
        """The names of the computations that it runs."""
        branches = _BRANCHES.search(self.rest)
        return (re.findall(r"[\w.-]+", branches[1]) if branches else []) + _CALLED.findall(self.rest)


@dataclass(frozen=True)
class Program:
    """A compiled program, for one device."""

    computations: dict[str, list[Instruction]]
    """The instructions of each computation."""
    entry: str
    """The computation that the program starts with."""
    devices: int
    """Devices that run the program together."""

    def runs(self) -> dict[str, int]:
        """Returns how often each computation runs in one run of the program; 0 for what nothing calls."""
        runs: dict[str, int] = defaultdict(int)

        def visit(name: str, times: int) -> None:
            runs[name] += times
            for instruction in self.computations.get(name, ()):
                for called in instruction.called:
                    visit(called, times * self.trips(instruction))

        visit(self.entry, 1)
        return runs

    def fused(self) -> set[str]:
        """Returns the names of the computations inside fusions."""
        everything = [i for instructions in self.computations.values() for i in instructions]
        return {name for i in everything if i.operation == "fusion" for name in i.called}

    def trips(self, instruction: Instruction) -> int:
        """Returns how often a loop goes round: what XLA says, or the bound that a counter from 0 is compared with.

        1 for what is no loop, or where the text does not tell.
        """
        if instruction.operation != "while":
            return 1
        if known := first(r'"known_trip_count":\{"n":"(\d+)"', instruction.rest):
            return int(known)
        condition = self.computations.get(first(r"condition=%?([\w.-]+)", instruction.rest) or "", [])
        constants = [i.rest.split(")")[0] for i in condition if i.operation == "constant"]
        compared = any(i.operation == "compare" and "direction=LT" in i.rest for i in condition)
        return int(constants[0]) if compared and len(constants) == 1 and constants[0].isdigit() else 1


def parse_program(text: str) -> Program:
    """Returns a compiled program from its text, `compiled.as_text()`."""
    computations: dict[str, list[Instruction]] = {}
    current, entry = "", ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = header[2]
            computations[current] = []
            entry = current if header[1] else entry
        elif current and (match := _INSTRUCTION.match(line)):
            computations[current].append(Instruction(bool(match[1]), *match.groups()[1:]))
    devices = int(first(r"num_partitions=(\d+)", text) or 1) * int(first(r"replica_count=(\d+)", text) or 1)
    return Program(computations, entry, devices)


def sizes_in_bytes(shapes: str, *, in_main_memory: bool = False) -> list[int]:
    """Returns the bytes of a shape, or of each shape of a tuple.

    Args:
      shapes: as HLO writes them, f32[8,16]{1,0}.
      in_main_memory: 0 for what lies in a memory of the chip itself: S(1) in the layout.
    """
    sizes = []
    for kind, dimensions, layout in _SHAPE.findall(shapes):
        bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
        elsewhere = in_main_memory and "S(" in layout
        sizes.append(0 if elsewhere else math.prod(int(n) for n in dimensions.split(",") if n) * bits // 8)
    return sizes


def first(pattern: str, text: str) -> str | None:
    """Returns the first group of a pattern's first match, if any."""
    match = re.search(pattern, text)
    return match[1] if match else None
