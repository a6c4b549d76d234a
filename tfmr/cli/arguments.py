"""Command lines to dataclasses, by tyro; a mistake is an InputError of one line."""

import contextlib
import dataclasses
import io
import itertools
import types
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from tfmr.errors import InputError, nearest

T = TypeVar("T")


def parse(cls: type[T], arguments: list[str], *, prog: str, default: T | None = None) -> T:
    """Returns the dataclass that a command line gives; `--help` prints each field with its meaning and exits.

    Args:
      cls: the dataclass; nested ones become `--section.field`.
      arguments: the command line without the program's name.
      prog: the name that `--help` shows.
      default: what the fields are that the command line does not name.

    Raises:
      InputError: for an unknown key, with the nearest known one, a wrong type, or a value that the dataclass refuses.
    """
    # A section that may be of several kinds stays of the kind that it is: no subcommand chooses another.
    kwargs: dict[str, Any] = {"prog": prog, "config": (tyro.conf.AvoidSubcommands,)}
    kwargs |= {} if default is None else {"default": default}
    if {"-h", "--help"} & set(arguments):
        return tyro.cli(cls, args=arguments, **kwargs)
    known = _fields(cls, default)
    _check_keys(known, arguments)
    try:
        return _quietly(cls, arguments, kwargs)
    except SystemExit as exit_:
        raise _refusal(exit_) or InputError(_what_is_wrong(cls, known, arguments, kwargs)) from None


def split_options(cls: type, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns the options that are fields of a dataclass, each with its value, and all other arguments."""
    own, rest = [], []
    names, i = _fields(cls), 0
    while i < len(arguments):
        argument = arguments[i]
        if not argument.startswith("--") or _key(argument) not in names:
            rest.append(argument)
            i += 1
            continue
        has_value = "=" not in argument and i + 1 < len(arguments) and not arguments[i + 1].startswith("--")
        length = 2 if has_value else 1
        own += arguments[i : i + length]
        i += length
    return own, rest


def print_options(cls: type, prog: str) -> None:
    """Prints the help of a command's own options, beside those of the config."""
    with contextlib.suppress(SystemExit):
        tyro.cli(cls, args=["--help"], prog=f"{prog} CONFIG")


def _refusal(exit_: SystemExit) -> InputError | None:
    """Returns the error of a dataclass that refused its values, which tyro turns into an exit."""
    error: BaseException | None = exit_
    while error is not None and not isinstance(error, InputError):
        error = error.__context__
    return error


def _quietly(cls: type[T], arguments: list[str], kwargs: dict[str, Any]) -> T:
    """tyro.cli without what it prints of an error: a box of many lines."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return tyro.cli(cls, args=arguments, **kwargs)


def _fields(cls: Any, default: Any = None, prefix: str = "") -> dict[str, Any]:
    """Returns the type of each field by its dotted name, nested dataclasses opened.

    A section that may be of several kinds has the fields of the kind that the default is of, else of the first.
    """
    found = {}
    hints: dict[str, Any] = get_type_hints(cls)
    for name, kind in hints.items():
        value = getattr(default, name, None)
        if isinstance(kind, types.UnionType) and all(map(dataclasses.is_dataclass, kind.__args__)):
            kind = kind.__args__[0] if value is None else type(value)
        if dataclasses.is_dataclass(kind):
            found |= _fields(kind, value, f"{prefix}{name}.")
        else:
            found[prefix + name] = kind
    return found


def _key(argument: str) -> str:
    return argument[2:].split("=")[0].replace("-", "_")


def _check_keys(known: dict[str, Any], arguments: list[str]) -> None:
    for argument in arguments:
        key = _key(argument)
        negated = ".".join([*key.split(".")[:-1], key.split(".")[-1].removeprefix("no_")])
        if argument.startswith("--") and key not in known and negated not in known:
            raise InputError(f"unknown option --{key}{_nearest_key(key, known)}")


def _nearest_key(key: str, known: dict[str, Any]) -> str:
    """The nearest known key; among equals one whose last part is alike."""
    last = {name.split(".")[-1]: name for name in known}
    if key in last:
        return f" (did you mean '--{last[key]}'?)"
    return nearest(f"--{key}", [f"--{name}" for name in known])


def _what_is_wrong(cls: type, known: dict[str, Any], arguments: list[str], kwargs: dict[str, Any]) -> str:
    """Finds the option that tyro refuses by trying each alone."""
    first = list(itertools.takewhile(lambda word: not word.startswith("--"), arguments))
    needed = _needed(cls) if kwargs.get("default") is None else []
    if len(first) < len(needed):
        missing = " and no ".join(needed[len(first) :])
        return f"no {missing}: it comes first, as in: {kwargs['prog']} {' '.join(needed)}"
    for i, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        kind = known.get(_key(argument))
        values = list(itertools.takewhile(lambda word: not word.startswith("--"), arguments[i + 1 :]))
        values = [] if "=" in argument else values if get_origin(kind) is tuple else values[:1]
        try:
            _quietly(cls, [*first, argument, *values], kwargs)
        except SystemExit as exit_:
            if kind is not None and _refusal(exit_) is None:
                values = [argument.split("=", 1)[1]] if "=" in argument else values
                return _wrong_value(_key(argument), values, kind)
    return f"cannot read the command line {' '.join(arguments)!r}; {kwargs['prog']} --help shows it"


def _needed(cls: Any) -> list[str]:
    """Returns the names, as `--help` shows them, of the arguments without a name: a command line begins with them."""
    hints: dict[str, Any] = get_type_hints(cls, include_extras=True)
    [positional] = tyro.conf.Positional[Any].__metadata__
    return [name.upper() for name, hint in hints.items() if positional in getattr(hint, "__metadata__", ())]


def _wrong_value(key: str, values: list[str], kind: Any) -> str:
    if not values:
        return f"--{key}: needs a value"
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        value = next((value for value in values if value not in choices), values[0])
        return f"--{key} = {value!r}: must be one of {', '.join(choices)}{nearest(value, choices)}"
    name = {"int": "a whole number", "float": "a number", "bool": "True or False"}
    return f"--{key} = {' '.join(values)!r}: must be {name.get(getattr(kind, '__name__', ''), kind)}"
