"""Files in Marian's binary format, version 1: the options of a model and its weights, which may be quantised.

All numbers are little-endian. A file contains, in this order:
  - the version and the number of items, 64 bits each;
  - for each item the length of its name, its type, its number of axes and its number of bytes, 64 bits each;
  - the names, each with a zero byte after it; then the shapes, 32 bits for each axis;
  - a number of 64 bits, as many bytes of padding, and the data of all items.

Matrices of 8 or 16 bits are stored transposed, except embedding tables. A float32 after their last element is the
multiplier that they were quantised with.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfmr.errors import InputError

_VERSION = 1
_OPTIONS = "special:model.yml"
"""The item that contains the options with which the model was built, as YAML."""
_CHARACTERS, _FLOAT16, _FLOAT32, _INTGEMM8, _INTGEMM16 = 0x0101, 0x0402, 0x0404, 0x4101, 0x4102
_DTYPES = {_CHARACTERS: "<i1", _FLOAT16: "<f2", _FLOAT32: "<f4", _INTGEMM8: "<i1", _INTGEMM16: "<i2"}
_QUANTISED = (_INTGEMM8, _INTGEMM16)
_MOST_AXES = 8


class _Item(NamedTuple):
    name: str
    kind: int
    shape: tuple[int, ...]
    size: int
    """Number of bytes."""


class _DamagedError(Exception):
    """A file whose parts do not fit together."""


def is_marian_binary(file: Path) -> bool:
    """Returns whether a file contains a model in Marian's binary format, as far as its first items tell."""
    with file.open("rb") as opened:
        start = opened.read(1 << 20)
    return _number(memoryview(start), 0) == _VERSION and f"{_OPTIONS}\0".encode() in start


def read_marian_binary(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the options of a model and its weights in float32, under Marian's names.

    Multipliers of activations are left out: the weights are those of a model that computes in float32.

    Raises:
      InputError: if the file is missing, truncated or damaged, or has items of a type that cannot be read.
    """
    if not file.is_file():
        raise InputError(f"{file}: file not found")
    data = memoryview(file.read_bytes())
    if (version := _number(data, 0)) != _VERSION:
        raise InputError(
            f"{file}: is not a file in Marian's binary format (its version is {version}, but must be {_VERSION}); if "
            "it is compressed, unpack it; convert an .npz with marian-conv -f model.npz -t model.bin"
        )
    try:
        return _read_items(data, file)
    except _DamagedError as error:
        raise InputError(f"{file}: is truncated or damaged ({error}); copy it again") from None


def _read_items(data: memoryview, file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    items, start = _read_header(data)
    options: dict[str, Any] = {}
    weights: dict[str, np.ndarray] = {}
    for item in items:
        content = _part(data, start, item.size, item.name)
        start += item.size
        if item.name == _OPTIONS:
            options = parse_yaml(bytes(content), f"{file}: its {_OPTIONS}")
        elif not item.name.endswith("_QuantMultA"):
            weights[item.name] = _weight(content, item, file)
    if not options:
        raise InputError(f"{file}: contains no {_OPTIONS}, the options of the model; convert the model again")
    return options, weights


def _read_header(data: memoryview) -> tuple[list[_Item], int]:
    """Returns the items, and where their data starts; raises _DamagedError if there are none."""
    count, at = _number(data, 8), 16
    numbers = np.frombuffer(_part(data, at, 32 * count, "the list of items"), "<u8").reshape(count, 4).tolist()
    at += 32 * count
    names, shapes = [], []
    for length, *_ in numbers:
        names.append(bytes(_part(data, at, length, "a name")).rstrip(b"\0").decode(errors="replace"))
        at += length
    for name, (_, _, axes, _) in zip(names, numbers, strict=True):
        if axes > _MOST_AXES:
            raise _DamagedError(f"{name} has {axes} axes")
        shapes.append(tuple(np.frombuffer(_part(data, at, 4 * axes, name), "<i4").tolist()))
        at += 4 * axes
    padding = _number(data, at)
    if padding < 0:
        raise _DamagedError("it ends before the data")
    rest = [(kind, size) for _, kind, _, size in numbers]
    items = [_Item(name, kind, shape, size) for name, shape, (kind, size) in zip(names, shapes, rest, strict=True)]
    return items, at + 8 + padding


def _weight(content: memoryview, item: _Item, file: Path) -> np.ndarray:
    if item.kind not in _DTYPES:
        raise InputError(
            f"{file}: {item.name} has the type {item.kind:#x}, a layout for one kind of processor; it must be float32 "
            "or float16, or intgemm8 or intgemm16 as marian-conv --gemm-type writes them"
        )
    count, dtype = math.prod(item.shape), np.dtype(_DTYPES[item.kind])
    if min(item.shape, default=0) < 1 or count * dtype.itemsize > item.size:
        raise _DamagedError(f"{item.name} has the shape {item.shape} in {item.size} bytes")
    values = np.frombuffer(content, dtype, count).astype(np.float32)
    if item.kind not in _QUANTISED:
        return values.reshape(item.shape)
    multiplier = np.frombuffer(_part(content, count * dtype.itemsize, 4, item.name), "<f4")[0]
    if not 0 < multiplier < math.inf:
        raise _DamagedError(f"{item.name} has the multiplier {multiplier}")
    values /= multiplier
    # Tables are read by rows, so they are the only ones that are not transposed.
    return values.reshape(item.shape) if "Wemb" in item.name else values.reshape(item.shape[::-1]).T


def _number(data: memoryview, at: int) -> int:
    """Returns the number of 64 bits at a place in a file; -1 beyond its end."""
    return int.from_bytes(data[at : at + 8], "little") if at + 8 <= len(data) else -1


def _part(data: memoryview, start: int, size: int, name: str) -> memoryview:
    if size < 0 or start + size > len(data):
        raise _DamagedError(f"{name} ends after the end of the file, {len(data)} bytes")
    return data[start : start + size]


def parse_yaml(content: bytes, name: str) -> dict[str, Any]:
    """Returns a mapping in YAML; raises InputError if it is not one. No object but plain data is ever created."""
    import yaml

    try:
        values: Any = yaml.safe_load(content.rstrip(b"\0").decode("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{name}: cannot be read as YAML ({str(error).splitlines()[0]}); copy it again") from None
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: contains a {type(values).__name__}; it must contain a mapping")
    return dict(values)
