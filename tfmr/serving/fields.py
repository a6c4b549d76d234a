"""The fields of requests: what they may be, for checks and for the OpenAPI description alike."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfmr.errors import nearest
from tfmr.serving.errors import RequestError

Kind = Literal["text", "texts", "integer", "integers", "number", "boolean", "object", "numbers"]

_SCHEMAS: dict[Kind, dict[str, Any]] = {
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "integer": {"type": "integer"},
    "integers": {"type": "array", "items": {"type": "integer"}},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "numbers": {"type": "object", "additionalProperties": {"type": "number"}},
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a request.

    Attributes:
      kinds: the types that its value may have. A value that is null is left out.
      meaning: what it is for.
      default: its value if it is left out.
      required: whether it must not be left out.
      least, most: the smallest and the largest number.
      only: the values that are supported; others are refused. None: all.
    """

    kinds: tuple[Kind, ...]
    meaning: str
    default: Any = None
    required: bool = False
    least: int | float = -math.inf
    most: int | float = math.inf
    only: tuple[Any, ...] | None = None

    def schema(self) -> dict[str, Any]:
        """Returns its JSON schema."""
        schemas = [dict(_SCHEMAS[kind]) for kind in self.kinds]
        for schema in schemas:
            if schema["type"] in ("integer", "number"):
                limits = {"minimum": self.least, "maximum": self.most}
                schema |= {name: limit for name, limit in limits.items() if math.isfinite(limit)}
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        schema |= {"enum": list(self.only)} if self.only else {}
        return schema | {"description": self.meaning} | ({} if self.default is None else {"default": self.default})


Fields = Mapping[str, Field]


def check_fields(values: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """Returns the value of every field.

    Raises:
      RequestError: if a field is unknown, missing, or has a wrong value.
    """
    for name in values:
        if name not in fields:
            raise RequestError(
                400, f"{_short(name)}: is not a field of this request{nearest(name, fields)}", field=name
            )
    return {name: _checked(name, values.get(name), field) for name, field in fields.items()}


def _checked(name: str, value: Any, field: Field) -> Any:
    if value is None:
        if field.required:
            raise RequestError(400, f"{name}: missing; {field.meaning}", field=name)
        return field.default
    if not any(_is(value, kind) for kind in field.kinds):
        kinds = " or ".join(_NAMES[kind] for kind in field.kinds)
        raise RequestError(400, f"{name} = {_short(value)}: must be {kinds}", field=name)
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
            raise RequestError(400, f"{name}: contains half of a surrogate pair; send complete characters", field=name)
    if isinstance(value, int | float) and not field.least <= value <= field.most:
        raise RequestError(400, f"{name} = {value}: must be {_range(field)}", field=name)
    if field.only is not None and value not in field.only:
        fix = " or ".join(["leave it out", *(f"send {json.dumps(each)}" for each in field.only)])
        raise RequestError(400, f"{name} = {_short(value)}: is not supported; {fix}", field=name)
    return value


_NAMES: dict[Kind, str] = {
    "text": "a string",
    "texts": "an array of strings",
    "integer": "a whole number",
    "integers": "an array of whole numbers",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "numbers": "an object of numbers",
}


def _is(value: Any, kind: Kind) -> bool:
    if isinstance(value, bool) or kind == "boolean":
        return kind == "boolean" and isinstance(value, bool)
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "integers":
        return isinstance(value, list) and all(_is(item, "integer") for item in value)
    if kind == "numbers":
        return isinstance(value, dict) and all(_is(item, "number") for item in value.values())
    return isinstance(value, {"text": str, "integer": int, "number": int | float, "object": dict}[kind])


def _range(field: Field) -> str:
    if math.isinf(field.most):
        return f"at least {field.least:g}"
    return f"from {field.least:g} to {field.most:g}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def from_form(values: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """Returns the values of a form, whose numbers are text, as JSON has them. What is not a number stays text."""
    return {name: _parsed(value, fields[name].kinds) if name in fields else value for name, value in values.items()}


def _parsed(value: Any, kinds: tuple[Kind, ...]) -> Any:
    if not isinstance(value, str) or "text" in kinds:
        return value
    if "texts" in kinds:
        return [value]
    if "boolean" in kinds:
        return {"true": True, "false": False}.get(value.lower(), value)
    for kind, parse in (("integer", int), ("number", float)):
        try:
            if kind in kinds and math.isfinite(number := parse(value[:30])):
                return number
        except ValueError:
            continue
    return value
