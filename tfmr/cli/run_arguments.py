"""Command lines of commands that take a run directory, whose defaults are the run's own."""

from typing import TypeVar

from tfmr.cli.arguments import parse
from tfmr.errors import InputError
from tfmr.run_directory import RunDirectory

T = TypeVar("T")


def parse_with_run(cls: type[T], arguments: list[str], prog: str) -> T:
    """Parses `RUN [--option VALUE ...]` into a dataclass whose `decoding` is by default that of the run's config.

    Raises:
      InputError: for a missing run directory or a wrong option.
    """
    if {"-h", "--help"} & set(arguments):
        return parse(cls, arguments, prog=prog)
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"no run directory: give it first, as in: {prog} runs/demo")
    config = RunDirectory.open(arguments[0]).read_config()
    default = cls(run=arguments[0], decoding=config.decoding)  # type: ignore[call-arg]
    return parse(cls, arguments, prog=prog, default=default)
