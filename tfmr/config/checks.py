"""Checks that configurations run on themselves."""

import dataclasses
import math
from typing import Any

from tfmr.errors import InputError


def require(condition: bool, name: str, value: object, fix: str) -> None:
    """Raises InputError "name = value: fix" unless the condition is true."""
    if not condition:
        raise InputError(f"{name} = {value!r}: {fix}")


class Checks:
    """Checks of the fields of a section; each of them raises InputError "section.field = value: fix"."""

    def __init__(self, section: str, config: Any):
        """Takes a section and its fields. Whole numbers must fit JAX's integers, seeds its unsigned ones."""
        self._section, self._config = section, config
        for field in dataclasses.fields(config):
            bits = 32 if field.name == "seed" else 31
            if isinstance(getattr(config, field.name), int):
                self.require(field.name, getattr(config, field.name) < 2**bits, f"must be less than 2**{bits}")

    def require(self, name: str, condition: bool, fix: str) -> None:
        """Requires a condition on the value of a field."""
        require(condition, f"{self._section}.{name}", getattr(self._config, name), fix)

    def positive(self, *names: str) -> None:
        """Requires fields to be greater than 0."""
        for name in names:
            self.require(name, getattr(self._config, name) > 0, "must be greater than 0")
            self.require(name, getattr(self._config, name) < math.inf, "must be finite")

    def at_least_zero(self, *names: str) -> None:
        """Requires fields to be 0 or greater."""
        for name in names:
            self.require(name, getattr(self._config, name) >= 0, "must be 0 or greater")
            self.require(name, getattr(self._config, name) < math.inf, "must be finite")

    def text(self, *names: str) -> None:
        """Requires the strings of fields to be Unicode text: arguments whose bytes are not UTF-8 contain surrogates."""
        for name in names:
            value = getattr(self._config, name)
            strings = (value,) if isinstance(value, str) else value
            valid = not any("\ud800" <= character <= "\udfff" for string in strings for character in string)
            self.require(name, valid, "must be text in UTF-8")

    def share(self, *names: str) -> None:
        """Requires fields to be in [0, 1)."""
        for name in names:
            self.require(name, 0.0 <= getattr(self._config, name) < 1.0, "must be in [0, 1)")
