"""Command lines to dataclasses.

tyro prints `--help` and builds the dataclasses. Before that, every option is checked here against the type of its
field, so that a mistake is an InputError of one line.
"""

import collections
import contextlib
import dataclasses
import io
import itertools
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from tfmr.errors import InputError, nearest

if TYPE_CHECKING:
    from tfmr.runs import RunDirectory

T = TypeVar("T")

Run = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
"""The first argument of a command that takes a run directory."""
Runs = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")]
"""The first arguments of a command that takes several."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunArguments:
    """The arguments of every command that uses the model of a run."""

    run: Run
    """The run directory."""
    checkpoint: str = ""
    """The checkpoint to use: averaged, best, last or a step. Empty: the first of these that exists, except an average
    that is older than the newest checkpoint."""


_BOOLS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""The spellings of a boolean value, in any case."""


def parse(cls: type[T], arguments: list[str], *, prog: str, default: T | None = None) -> T:
    """Returns the dataclass that a command line describes; `--help` prints every field with its meaning and exits.

    Words of an option may be joined by dashes or underscores, and its value may follow a space or `=`. Of a boolean
    field, `--flag`, `--flag True`, `--flag=false` and `--no-flag` are all understood.

    Args:
      cls: the dataclass. The fields of nested dataclasses become `--section.field`.
      arguments: the command line without the name of the program.
      prog: the name that `--help` shows.
      default: the values of the fields that the command line does not set.

    Raises:
      InputError: for an unknown option (naming the nearest known one), a value of the wrong type, or a value that the
        dataclass refuses.
    """
    # A section of several kinds keeps the kind of the default, and a boolean shows the values that it takes.
    kwargs: dict[str, Any] = dict(prog=prog, config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff))
    kwargs |= {} if default is None else {"default": default}
    if {"-h", "--help"} & set(arguments):
        return tyro.cli(cls, args=arguments, **kwargs)
    words, options = _checked(cls, arguments, prog, default)
    try:
        # tyro reports an error in a box of several lines.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as report:
            return tyro.cli(cls, args=[*words, *options], **kwargs)
    except SystemExit as exit_:
        raise _refusal(exit_) or InputError(f"{_sentence(report.getvalue())}; see {prog} --help") from None


def parse_with_run(cls: type[T], arguments: list[str], prog: str) -> "tuple[T, RunDirectory]":
    """Parses `RUN [--option VALUE ...]`. The default of a field `decoding` is the run's own configuration.

    Raises:
      InputError: if RUN is not a run directory, or for a wrong option.
    """
    if {"-h", "--help"} & set(arguments):
        parse(cls, arguments, prog=prog)
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"no run directory given; it comes first, as in: {prog} runs/demo")
    from tfmr.runs import RunDirectory

    run = RunDirectory.open(arguments[0])
    own: dict[str, Any] = {"decoding": run.config.decoding} if "decoding" in get_type_hints(cls) else {}
    return parse(cls, arguments, prog=prog, default=cls(**{"run": arguments[0], **own})), run


def split_options(cls: type, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns the options that are fields of a dataclass, each with its value, and all other arguments."""
    own, rest, names = [], [], _fields(cls)
    left = collections.deque(arguments)
    while left:
        argument = left.popleft()
        if not argument.startswith("--") or _key(argument) not in names:
            rest.append(argument)
            continue
        own.append(argument)
        if "=" not in argument and left and not left[0].startswith("--"):
            own.append(left.popleft())
    return own, rest


def print_options(cls: type, prog: str) -> None:
    """Prints the help of the options that a command has in addition to those of a config."""
    with contextlib.suppress(SystemExit):
        tyro.cli(cls, args=["--help"], prog=f"{prog} CONFIG")


def _checked(cls: Any, arguments: list[str], prog: str, default: Any) -> tuple[list[str], list[str]]:
    """Returns the positional arguments, and the options in the one spelling that tyro is given.

    Raises:
      InputError: for an unknown option, a missing or wrong value, or a missing or extra positional argument.
    """
    fields, needed = _fields(cls, default), _positionals(cls)
    words, options, after_flag = [], [], {}
    left = collections.deque(arguments)
    while left:
        argument = left.popleft()
        if not argument.startswith("-"):
            words.append(argument)
            continue
        key, negated = _find(argument, fields)
        values = _values(argument, fields[key], left)
        if fields[key] is bool and not values and left:
            after_flag[left[0]] = key  # a positional argument, or a wrong value
        if negated and values:
            flag = _dashed(key)
            raise InputError(f"{argument}: takes no value; write {flag} True or {flag} False")
        options += _option(_dashed(key), fields[key], values or ["False"] * negated)
    required = needed if default is None else []
    if len(words) < len(required):
        missing = " and ".join(required[len(words) :])
        raise InputError(f"missing {missing}; usage: {prog} {' '.join(required)}")
    for word in words if len(words) > len(needed) else []:
        if word in after_flag:
            raise InputError(f"{_dashed(after_flag[word])} = {word!r}: must be True or False")
    takes_more = bool(needed) and _takes_several(get_type_hints(cls)[needed[-1].lower()])
    for word in [] if takes_more else words[len(needed) :]:
        raise InputError(f"{word!r}: unexpected argument{_nearest_option(word, fields)}; see {prog} --help")
    return words, options


def _fields(cls: Any, default: Any = None, prefix: str = "") -> dict[str, Any]:
    """Returns the type of each option by its dotted name, nested dataclasses opened.

    A section of several kinds has the fields of the kind of the default.
    """
    found, hints = {}, get_type_hints(cls)
    for field in dataclasses.fields(cls):
        value = getattr(default, field.name, None)
        kind: Any = type(value) if dataclasses.is_dataclass(value) else hints[field.name]
        if dataclasses.is_dataclass(kind):
            found |= _fields(kind, value, f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = kind
    return {name: kind for name, kind in found.items() if name.upper() not in _positionals(cls)}


def _positionals(cls: Any) -> list[str]:
    """Returns the names, as `--help` shows them, of the arguments that a command line begins with."""
    [positional] = tyro.conf.Positional[Any].__metadata__
    hints = get_type_hints(cls, include_extras=True)
    return [name.upper() for name, hint in hints.items() if positional in getattr(hint, "__metadata__", ())]


def _key(argument: str) -> str:
    return argument.lstrip("-").split("=")[0].replace("-", "_")


def _dashed(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _find(argument: str, fields: dict[str, Any]) -> tuple[str, bool]:
    """Returns the field that an option sets, and whether the option is the `--no-` form of a boolean field."""
    key = _key(argument)
    section, dot, name = key.rpartition(".")
    positive = f"{section}{dot}{name.removeprefix('no_')}"
    if argument.startswith("--") and key in fields:
        return key, False
    if argument.startswith("--") and fields.get(positive) is bool:
        return positive, True
    raise InputError(f"unknown option {argument.split('=')[0]}{_nearest_option(key, fields)}")


def _nearest_option(word: str, fields: dict[str, Any]) -> str:
    """Returns a hint at the nearest option, preferably one whose last part is the same."""
    options = {name.split(".")[-1]: _dashed(name) for name in fields}
    if _key(word) in options:
        return f" (did you mean {options[_key(word)]!r}?)"
    return nearest(_dashed(_key(word)), map(_dashed, fields))


def _values(argument: str, kind: Any, left: collections.deque[str]) -> list[str]:
    """Returns the values of an option, taken from its `=` or from the arguments that follow it."""
    if "=" in argument:
        return [argument.split("=", 1)[1]]
    following = list(itertools.takewhile(lambda word: not word.startswith("--"), left))
    if not _takes_several(kind):
        following = following[:1]
    if kind is bool and following and following[0].lower() not in _BOOLS:
        return []
    return [left.popleft() for _ in following]


def _option(name: str, kind: Any, values: list[str]) -> list[str]:
    """Returns an option in the spelling that tyro is given; raises InputError for a value of the wrong type."""
    if _takes_several(kind):
        for value in values:
            _check(name, value, get_args(kind)[0])
        return [name, *values]
    if kind is bool:
        values = [str(_BOOLS.get(value.lower(), value)) for value in values] or ["True"]
    if not values:
        raise InputError(f"{name}: needs a value")
    _check(name, values[0], kind)
    return [f"{name}={values[0]}"]


def _takes_several(kind: Any) -> bool:
    """Returns whether a field is a tuple, or may be one."""
    return any(get_origin(one) is tuple for one in (kind, *get_args(kind)))


def _check(name: str, value: str, kind: Any) -> None:
    """Raises InputError for a value that is not of a field's type."""
    choices = get_args(kind) if get_origin(kind) is Literal else ("True", "False") if kind is bool else ()
    if choices and value not in choices:
        fix = "True or False" if kind is bool else f"one of {', '.join(map(str, choices))}{nearest(value, choices)}"
        raise InputError(f"{name} = {value!r}: must be {fix}")
    if kind in (int, float):
        try:
            kind(value)
        except ValueError:
            must = "a whole number" if kind is int else "a number"
            raise InputError(f"{name} = {value!r}: must be {must}") from None


def _refusal(exit_: SystemExit) -> InputError | None:
    """Returns the InputError of a dataclass that refused its values, which tyro turns into an exit."""
    error: BaseException | None = exit_
    while error is not None and not isinstance(error, InputError):
        error = error.__context__
    return error


def _sentence(report: str) -> str:
    """Returns the first paragraph of what tyro prints in a box, below its title."""
    lines = (line.strip("│╭╮╰╯─|+- ") for line in report.splitlines()[1:])
    paragraphs = [list(group) for filled, group in itertools.groupby(lines, bool) if filled]
    return " ".join(paragraphs[0]).rstrip(".") if paragraphs else "cannot read the command line"
