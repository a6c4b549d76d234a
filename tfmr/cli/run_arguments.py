"""Command lines of commands that take a run directory, whose defaults are the run's own."""

import dataclasses
from typing import TypeVar

from tfmr.cli.arguments import parse
from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory

T = TypeVar("T")


def parse_with_run(cls: type[T], arguments: list[str], prog: str) -> T:
    """Parses `RUN [--option VALUE ...]` into a dataclass whose `decoding`, if any, is by default the run's config's.

    Raises:
      InputError: for a missing run directory or a wrong option.
    """
    if {"-h", "--help"} & set(arguments):
        return parse(cls, arguments, prog=prog)
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"no run directory: give it first, as in: {prog} runs/demo")
    config = RunDirectory.open(arguments[0]).config
    has_decoding = any(field.name == "decoding" for field in dataclasses.fields(cls))  # type: ignore[arg-type]
    default = cls(run=arguments[0], **({"decoding": config.decoding} if has_decoding else {}))  # type: ignore[call-arg]
    return parse(cls, arguments, prog=prog, default=default)
