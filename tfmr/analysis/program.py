"""A parser for the text of a compiled program (HLO): its computations, and how often each one runs.

It reads text rather than objects because text is the only form that every backend provides. It does not need jax.
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
    """Whether it is the result of its computation."""
    name: str
    result: str
    """Shape of the result, or a tuple of shapes."""
    operation: str
    rest: str
    """Operands and attributes."""

    @property
    def operands(self) -> list[str]:
        """The names of its operands."""
        return re.findall(r"%([\w.-]+)", self.rest.split("), ")[0])

    @property
    def called(self) -> list[str]:
        """The names of the computations that it calls."""
        branches = _BRANCHES.search(self.rest)
        return (re.findall(r"[\w.-]+", branches[1]) if branches else []) + _CALLED.findall(self.rest)


@dataclass(frozen=True)
class Program:
    """The compiled program of one device."""

    computations: dict[str, list[Instruction]]
    """The instructions of each computation."""
    entry: str
    """The name of the computation that the program starts with."""
    devices: int
    """Number of devices that run the program together."""

    def runs(self) -> dict[str, int]:
        """Returns how often each computation runs in one run of the program. 0 if it is never called."""
        runs: dict[str, int] = defaultdict(int)

        def visit(name: str, times: int) -> None:
            runs[name] += times
            for instruction in self.computations.get(name, ()):
                for called in instruction.called:
                    visit(called, times * self.trips(instruction))

        visit(self.entry, 1)
        return runs

    def control_flow(self) -> set[str]:
        """Returns the names of the computations whose instructions run one by one: not those inside fusions."""
        found, new = set(), [self.entry]
        while new:
            name = new.pop()
            found.add(name)
            for instruction in self.computations.get(name, ()):
                if instruction.operation in ("while", "conditional", "call"):
                    new += [called for called in instruction.called if called not in found]
        return found

    def fused(self) -> set[str]:
        """Returns the names of the computations inside fusions."""
        everything = [i for instructions in self.computations.values() for i in instructions]
        return {name for i in everything if i.operation == "fusion" for name in i.called}

    def trips(self, instruction: Instruction) -> int:
        """Returns the number of iterations of a loop: XLA's own, or the upper bound of a counter that starts at 0.

        1 for other instructions and for loops whose number of iterations is unknown.
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
    """Parses the text of a compiled program, from `compiled.as_text()`."""
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
    """Returns the size in bytes of a shape, or of each shape of a tuple.

    Args:
      shapes: in HLO's notation, such as f32[8,16]{1,0}.
      in_main_memory: count shapes in another memory of the chip, S(1) in the layout, as 0.
    """
    sizes = []
    for kind, dimensions, layout in _SHAPE.findall(shapes):
        bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
        elsewhere = in_main_memory and "S(" in layout
        sizes.append(0 if elsewhere else math.prod(int(n) for n in dimensions.split(",") if n) * bits // 8)
    return sizes


def first(pattern: str, text: str) -> str | None:
    """Returns the first group of the first match of a pattern, or None."""
    match = re.search(pattern, text)
    return match[1] if match else None
