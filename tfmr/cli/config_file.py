"""Recipes: Python files with get_config(), overridden on the command line."""

import dataclasses
import os
import runpy
from pathlib import Path

from tfmr.cli.arguments import parse
from tfmr.config import KINDS, Config
from tfmr.errors import InputError, nearest


def parse_config(arguments: list[str], prog: str) -> Config:
    """Returns the Config of `CONFIG [--section.field VALUE ...]`; an empty workdir becomes runs/ and the file's name.

    Raises:
      InputError: for a missing or wrong file, an unknown key, a wrong value.
    """
    if arguments and not arguments[0].startswith("-"):
        path, *overrides = arguments
        config = load_config(path)
        return parse(Config, overrides, prog=f"{prog} {path}", default=_with_workdir(config, path))
    if {"-h", "--help"} & set(arguments):
        return parse(Config, arguments, prog=f"{prog} CONFIG", default=Config())
    raise InputError(f"no config: give a file first, as in: {prog} configs/demo.py")


def _with_workdir(config: Config, path: str) -> Config:
    return dataclasses.replace(config, workdir=config.workdir or os.path.join("runs", Path(path).stem))


def load_config(path: str) -> Config:
    """Returns what get_config() of a Python file returns; raises InputError where that is no Config."""
    file = Path(path)
    if not file.is_file():
        beside = [str(other) for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise InputError(f"{path}: no such config file{nearest(path, beside)}")
    try:
        names = runpy.run_path(str(file))
        if "get_config" not in names:
            raise InputError("defines no get_config()")
        config = names["get_config"]()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}{_nearest_field(error)}") from error
    if not isinstance(config, Config):
        raise InputError(f"{path}: get_config() returns {type(config).__name__}, must be a tfmr.Config")
    return config


def _nearest_field(error: Exception) -> str:
    """For a keyword that no section of the config has, the nearest that one has."""
    if not isinstance(error, TypeError) or "unexpected keyword argument" not in str(error):
        return ""
    sections = [Config, *(type(section) for section in vars(Config()).values() if dataclasses.is_dataclass(section))]
    sections += [kind for kinds in KINDS.values() for kind in kinds.values()]
    names = [field.name for section in sections for field in dataclasses.fields(section)]
    return nearest(str(error).split("'")[1], names)
