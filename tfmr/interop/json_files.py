"""JSON objects in files of other programs."""

import json
from pathlib import Path
from typing import Any

from tfmr.errors import InputError


def read_json(file: Path) -> dict[str, Any]:
    """Returns the object that a file holds; raises InputError where it is missing, damaged or holds another value."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{file}: must hold a JSON object, not a {type(values).__name__}")
    return values


def to_json(values: dict[str, Any]) -> bytes:
    """Returns an object as the bytes of a file."""
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
