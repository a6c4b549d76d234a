"""Checks that configurations run on themselves."""

from tfmr.errors import InputError


def require(condition: bool, name: str, value: object, fix: str) -> None:
    """Raises InputError "name = value: fix" unless the condition is true."""
    if not condition:
        raise InputError(f"{name} = {value!r}: {fix}")


def require_positive(section: str, config: object, *names: str) -> None:
    """Requires fields of a section to be greater than 0."""
    for name in names:
        value = getattr(config, name)
        require(value > 0, f"{section}.{name}", value, "must be greater than 0")


def require_at_least_zero(section: str, config: object, *names: str) -> None:
    """Requires fields of a section to be 0 or greater."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, f"{section}.{name}", value, "must be 0 or greater")


def require_share(section: str, config: object, *names: str) -> None:
    """Requires fields of a section to be in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        require(0.0 <= value < 1.0, f"{section}.{name}", value, "must be in [0, 1)")
