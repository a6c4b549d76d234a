"""Bytes that a compiled program reads from and writes to main memory.

The compiler's own count is of little use: it counts one iteration of a loop, and it does not distinguish main memory
from the small memory next to a TPU's cores, through which most data passes.
"""

from tfmr.analysis.program import Instruction, Program, sizes_in_bytes

_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "conditional", "call"}
_READS_A_SLICE = {"dynamic-slice", "gather"}


def memory_traffic(program: Program) -> int:
    """Returns the bytes that each chip reads from and writes to its main memory in one run of a program.

    Each instruction, or fusion of instructions, reads its operands and writes its result once. If only a slice of an
    array is read or written, the slice counts. The body of a loop counts once per iteration.
    """
    runs = program.runs()
    return sum(runs[name] * _bytes_of(program, name) for name in program.control_flow())


def _bytes_of(program: Program, computation: str) -> int:
    by_name = {instruction.name: instruction for instruction in program.computations.get(computation, ())}
    return sum(_touched(instruction, by_name, program) for instruction in by_name.values())


def _size(instruction: Instruction) -> int:
    return sum(sizes_in_bytes(instruction.result, in_main_memory=True))


def _touched(instruction: Instruction, by_name: dict[str, Instruction], program: Program) -> int:
    """Returns the bytes that an instruction reads and writes."""
    if instruction.operation in _FREE:
        return 0
    if instruction.operation.endswith("-start"):
        return 0  # counted at its -done instruction
    operands = [by_name[name] for name in instruction.operands if name in by_name]
    if instruction.operation.endswith("-done"):
        return _moved(instruction, operands[0], by_name)
    if instruction.operation in _READS_A_SLICE:
        return 2 * _size(instruction)
    if instruction.operation == "dynamic-update-slice":
        return 2 * _size(operands[1])
    if instruction.operation == "fusion":
        return _touched_by_fusion(instruction, operands, program)
    return _size(instruction) + sum(map(_size, operands))


def _moved(done: Instruction, start: Instruction, by_name: dict[str, Instruction]) -> int:
    """Returns the bytes that an asynchronous copy or transfer reads from and writes to main memory."""
    source = by_name.get(start.operands[0]) if start.operands else None
    ends = [done.result, source.result if source is not None else done.result]
    in_main_memory = sum(sum(sizes_in_bytes(shape, in_main_memory=True)) > 0 for shape in ends)
    return in_main_memory * sum(sizes_in_bytes(done.result))


def _touched_by_fusion(fusion: Instruction, operands: list[Instruction], program: Program) -> int:
    inside = program.computations.get(fusion.called[0], [])
    by_name = {instruction.name: instruction for instruction in inside}
    parameters = {int(i.rest.split(")")[0]): i.name for i in inside if i.operation == "parameter"}
    total = 0
    for number, operand in enumerate(operands):
        users = [i for i in inside if parameters.get(number) in i.operands]
        total += min(_size(operand), sum(_read_by(user, parameters[number], by_name, operand) for user in users))
    root = next((i for i in inside if i.is_root), None)
    while root is not None and root.operation in ("bitcast", "copy") and root.operands:
        root = by_name.get(root.operands[0])
    updates = root is not None and root.operation == "dynamic-update-slice"
    return total + (_size(by_name[root.operands[1]]) if root is not None and updates else _size(fusion))


def _read_by(user: Instruction, parameter: str, by_name: dict[str, Instruction], operand: Instruction) -> int:
    """Returns the bytes that an instruction in a fusion reads of one of the fusion's operands."""
    if user.operands[0] == parameter:
        if user.operation in _READS_A_SLICE:
            return _size(user)
        if user.operation == "dynamic-update-slice":
            return 0  # updated in place
    return _size(operand)
