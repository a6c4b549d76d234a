"""Every option of every command, in every spelling that a person would try."""

import dataclasses
import importlib
import re
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest

from tfmr.cli import COMMANDS, command_module
from tfmr.cli.arguments import _fields, _positionals, parse
from tfmr.config import (
    CausalLMConfig,
    Config,
    DataConfig,
    DecodingConfig,
    GenerationConfig,
    ModelConfig,
    PairsConfig,
    RunningTextConfig,
)
from tfmr.errors import InputError


@dataclasses.dataclass(frozen=True)
class SoundModel(ModelConfig):
    """A kind of model that the package does not know."""

    vocab_size: int = 0
    d_model: int = 8
    stereo: bool = False
    shape: Literal["flat", "deep"] = "flat"
    longest_sequence = None


@dataclasses.dataclass(frozen=True)
class SoundData(DataConfig):
    """Its data."""

    models = (SoundModel,)
    cache: str = ""
    max_length: int = 4
    tokens_per_batch: int = 8
    seed: int = 0
    looped: bool = True


def _command_defaults() -> dict[str, Any]:
    defaults = {}
    for name in COMMANDS:
        module = command_module(name)
        cls = getattr(module, "Arguments", None) or getattr(module, "Options", None)
        if cls is not None:
            needed = {name.lower(): "given" for name in _positionals(cls)}
            needed |= {"topology": "x"} if name == "compile" else {"run": ("given", "too")} if name == "serve" else {}
            defaults[name] = cls(**needed)
    return defaults


DEFAULTS = _command_defaults() | {
    "a config of a translator": Config(),
    "a config of a language model": Config(model=CausalLMConfig(), data=RunningTextConfig()),
    "a config of other kinds": Config(model=SoundModel(), data=SoundData()),
}
"""What a command line changes."""
SPELLINGS = {
    "dashes and a space": ("-", " "),
    "underscores and a space": ("_", " "),
    "dashes and =": ("-", "="),
    "underscores and =": ("_", "="),
}
UNCHANGED = {"training.best_metric", "decoding.sampling.temperature"}
"""Fields with few valid values."""


ALLOWED = {
    "training.profile_steps": "1:2",
    "model.start_token": 1,
    "fine_tuning.learning_rate_factors": ("encoder.*=0.5",),
}
"""Values of fields that not every value of their type suits."""


def changed(name: str, kind: Any, value: Any) -> Any:
    """Another value of a field's type."""
    if kind is bool:
        return not value
    if name in ALLOWED:
        return ALLOWED[name]
    if name == "model.positions":  # the kinds of model have different ones
        return "sinusoidal" if value == "learned" else "learned"
    if get_origin(kind) is Literal:
        return get_args(kind)[get_args(kind).index(value) - 1]
    if get_origin(kind) is tuple:
        [item, _] = get_args(kind)
        return (changed(name, item, get_args(item)[0]),) if get_origin(item) is Literal else (item(f"1{len(name)}"),)
    if isinstance(kind, UnionType):  # one value or several
        return f"a value of {name}"
    return {int: lambda: value + 2, float: lambda: 0.5 * value + 0.03, str: lambda: f"a value of {name}"}[kind]()


def get(default: Any, name: str) -> Any:
    for part in name.split("."):
        default = getattr(default, part)
    return default


def replaced(default: Any, values: dict[str, Any]) -> Any:
    """The dataclass with fields by their dotted names."""
    own = {name: value for name, value in values.items() if "." not in name}
    for section in {name.split(".")[0] for name in values if "." in name}:
        inner = {name.split(".", 1)[1]: value for name, value in values.items() if name.split(".")[0] == section}
        own[section] = replaced(getattr(default, section), inner)
    return dataclasses.replace(default, **own)


def spelled(name: str, value: Any, dash: str, joint: str) -> list[str]:
    option = f"--{name.replace('_', dash)}"
    words = [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
    return [f"{option}={words[0]}", *words[1:]] if joint == "=" else [option, *words]


def read(default: Any, arguments: list[str]) -> Any:
    given = [getattr(default, name.lower()) for name in _positionals(type(default))]
    words = [word for value in given for word in (value if isinstance(value, tuple) else [value])]
    return parse(type(default), [*words, *arguments], prog="prog", default=default)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("what", DEFAULTS)
def test_every_option_in_every_spelling(what: str, spelling: str):
    default = DEFAULTS[what]
    values = {
        name: changed(name, kind, get(default, name))
        for name, kind in _fields(type(default), default).items()
        if name not in UNCHANGED and "sampling" not in name
    }
    arguments = [word for name in values for word in spelled(name, values[name], *SPELLINGS[spelling])]
    found, expected = read(default, arguments), replaced(default, values)
    assert found == expected
    assert not [name for name in values if get(found, name) == get(default, name)]


def test_one_value_or_several():
    config = Config(data=PairsConfig(source_file="a", target_file="y"))
    assert read(config, ["--data.source-file", "x"]).data.source_file == "x"
    assert read(config, ["--data.source-file=x"]).data.source_file == "x"
    assert read(config, ["--data.source-file", "x", "z", "--data.seed", "3"]).data.source_file == ("x", "z")
    assert read(Config(), ["--data.source-file", ""]).data.source_file == ""
    with pytest.raises(InputError, match=r"data\.target_file = 'y': requires data\.source_file"):
        read(config, ["--data.source-file", ""])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_sampling_in_every_spelling(spelling: str):
    values = {f"decoding.sampling.{name}": 0.5 for name in ("temperature", "top_p", "min_p")}
    values |= {"decoding.sampling.top_k": 2, "decoding.sampling.seed": 3}
    arguments = [word for name in values for word in spelled(name, values[name], *SPELLINGS[spelling])]
    assert read(Config(), arguments) == replaced(Config(), values)


BOOLEANS = {
    "--{} True": True,
    "--{} true": True,
    "--{}=True": True,
    "--{}=true": True,
    "--{}=TRUE": True,
    "--{}": True,
    "--{} 1": True,
    "--{}=yes": True,
    "--{} on": True,
    "--{} False": False,
    "--{} false": False,
    "--{}=False": False,
    "--{}=false": False,
    "--{} 0": False,
    "--{}=no": False,
    "--{} off": False,
    "--no-{}": False,
    "--no_{}": False,
}


@pytest.mark.parametrize("written", BOOLEANS)
@pytest.mark.parametrize("what", DEFAULTS)
def test_every_boolean_in_every_spelling(what: str, written: str):
    default = DEFAULTS[what]
    names = [name for name, kind in _fields(type(default), default).items() if kind is bool]
    for dash in "-_":
        arguments = []
        for name in names:
            *sections, last = name.replace("_", dash).split(".")
            section = "".join(f"{part}." for part in sections)
            arguments += f"--{section}{written.removeprefix('--').format(last)}".split()
        if names:
            assert read(default, arguments) == replaced(default, dict.fromkeys(names, BOOLEANS[written]))


@pytest.mark.parametrize("what", DEFAULTS)
def test_help_shows_every_option_and_no_other(
    what: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    default = DEFAULTS[what]
    with pytest.raises(SystemExit) as exit_:
        read(default, ["--help"])
    assert exit_.value.code == 0
    shown = set(re.findall(r"(?m)^\W*(--[a-z][\w.-]*)", capsys.readouterr().out))
    assert shown == {f"--{name.replace('_', '-')}" for name in _fields(type(default), default)}


WRONG = {
    "--model.remat maybe": "--model.remat = 'maybe': must be True or False",
    "--model.remat=2": "--model.remat = '2': must be True or False",
    "--model.no-remat True": "--model.no-remat: takes no value; write --model.remat True or --model.remat False",
    "--model.no-remat=false": "--model.no-remat=false: takes no value; write --model.remat True or --model.remat False",
    "--model.no-d-model": "unknown option --model.no-d-model (did you mean '--model.d-model'?)",
    "--model.remmat": "unknown option --model.remmat (did you mean '--model.remat'?)",
    "--remat": "unknown option --remat (did you mean '--model.remat'?)",
    "-v": "unknown option -v",
    "--": "unknown option --",
    "training.steps 3": "'training.steps': unexpected argument (did you mean '--training.steps'?); see prog --help",
    "--training.steps 3 4": "'4': unexpected argument; see prog --help",
    "--training.steps 1e3": "--training.steps = '1e3': must be a whole number",
    "--training.steps=": "--training.steps = '': must be a whole number",
    "--training.steps": "--training.steps: needs a value",
    "--training.steps --training.seed 3": "--training.steps: needs a value",
    "--training.learning-rate fast": "--training.learning-rate = 'fast': must be a number",
    "--model.norm=pots": "--model.norm = 'pots': must be one of post, pre (did you mean 'post'?)",
    "--training.steps 0": "training.steps = 0: must be greater than 0",
    "--training.steps 2147483648": "training.steps = 2147483648: must be less than 2**31",
    "--training.seed 4294967296": "training.seed = 4294967296: must be less than 2**32",
    "--training.learning-rate inf": "training.learning_rate = inf: must be finite",
    "--training.final-learning-rate nan": "training.final_learning_rate = nan: must be 0 or greater",
    "--data.task other": "unknown option --data.task",
    "--model.max-lenght 3": "unknown option --model.max-lenght (did you mean '--model.max-length'?)",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_one_line_with_the_fix(line: str):
    with pytest.raises(InputError) as error:
        read(Config(), line.split())
    assert str(error.value).startswith(WRONG[line])
    assert "\n" not in str(error.value)


def test_options_of_a_kind_from_elsewhere_are_hinted_at():
    with pytest.raises(InputError, match=r"unknown option --model.sterio \(did you mean '--model.stereo'\?\)"):
        read(DEFAULTS["a config of other kinds"], ["--model.sterio", "True"])


def test_a_type_that_only_tyro_knows_is_one_line():
    @dataclasses.dataclass
    class Sizes:
        size: tuple[int, int] = (1, 2)
        limit: int | None = None

    assert parse(Sizes, ["--size", "3", "4", "--limit", "None"], prog="prog") == Sizes((3, 4))
    with pytest.raises(InputError, match=r"^Error parsing --limit.*'x'.*; see prog --help$"):
        parse(Sizes, ["--limit", "x"], prog="prog")


def test_a_word_after_a_flag_may_be_the_run():
    arguments = importlib.import_module("tfmr.cli.generate").Arguments
    for line in ("--window runs/x", "runs/x --window", "--window True runs/x", "runs/x --window=1"):
        assert parse(arguments, line.split(), prog="prog") == arguments(run="runs/x", window=True)
    with pytest.raises(InputError, match=r"--window = 'maybe': must be True or False"):
        parse(arguments, ["--window", "maybe", "runs/x"], prog="prog")


def test_pairs_and_text_have_their_own_options():
    with pytest.raises(InputError, match=r"unknown option --data\.files"):
        read(Config(data=PairsConfig()), ["--data.files", "input.txt"])


@pytest.mark.parametrize(("config", "name"), [(GenerationConfig, "stop"), (DecodingConfig, "forbidden")])
def test_text_that_is_not_utf_8_is_refused(config, name):
    with pytest.raises(InputError, match=rf"{name} = .*must be text in UTF-8"):
        config(**{name: ("a", "\udcff")})
