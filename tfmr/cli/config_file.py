"""Config files: Python files with get_config(), whose fields the command line overrides."""

import dataclasses
import os
import runpy
from pathlib import Path
from typing import Any

from tfmr.cli.arguments import parse
from tfmr.config import KINDS, Config
from tfmr.errors import InputError, nearest

_SHORT = {"--init-from": "--fine-tuning.init-from"}
"""Options of a config that have a short form."""


def parse_config(arguments: list[str], prog: str) -> Config:
    """Returns the Config of `CONFIG [--section.field VALUE ...]`; an empty workdir becomes runs/ and the file's name.

    Raises:
      InputError: for a missing or wrong file, an unknown option, or a wrong value.
    """
    arguments = [_written_out(argument) for argument in arguments]
    if arguments and not arguments[0].startswith("-"):
        path, *overrides = arguments
        config = load_config(path)
        config = dataclasses.replace(config, workdir=config.workdir or os.path.join("runs", Path(path).stem))
        return parse(Config, overrides, prog=f"{prog} {path}", default=config)
    if {"-h", "--help"} & set(arguments):
        return parse(Config, arguments, prog=f"{prog} CONFIG", default=Config())
    raise InputError(f"no config file given; it comes first, as in: {prog} configs/demo.py")


def _written_out(argument: str) -> str:
    """Returns an option without its short form."""
    name, equals, value = argument.partition("=")
    return _SHORT.get(name.replace("_", "-"), name) + equals + value


def load_config(path: str) -> Config:
    """Returns the result of get_config() in a Python file; raises InputError if it is not a Config."""
    file = Path(path)
    if not file.is_file():
        others = [str(other) for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise InputError(f"{path}: no such config file{nearest(path, others)}")
    try:
        names = runpy.run_path(str(file))
        if "get_config" not in names:
            raise InputError("does not define get_config()")
        config = names["get_config"]()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}{_nearest_field(error)}") from error
    if not isinstance(config, Config):
        raise InputError(f"{path}: get_config() returns {type(config).__name__}; it must return a tfmr.Config")
    return config


def with_base(config: Config) -> tuple[Config, Any]:
    """Returns a config with the shape of the model that it starts from, and the tokenizer of that model.

    Without `--init-from`, the config is unchanged and there is no tokenizer.

    Raises:
      InputError: if the config has another shape or tokenizer.
    """
    if not config.fine_tuning.init_from:
        return config, None
    from tfmr.runs import RunDirectory, base  # imports jax

    run = RunDirectory(config.workdir)
    return base.with_base(config, run, base.base_of(run, config.fine_tuning))


def with_vocabulary(config: Config) -> Config:
    """Returns a config whose model has the largest vocabulary that its tokenizer may have, unless it has its own."""
    size = config.model.vocab_size or config.data.largest_vocabulary
    model: Any = config.model
    return dataclasses.replace(config, model=dataclasses.replace(model, vocab_size=size))


def _nearest_field(error: Exception) -> str:
    """Returns a hint at the nearest field of any section, for an error about an unknown keyword."""
    if not isinstance(error, TypeError) or "unexpected keyword argument" not in str(error):
        return ""
    sections = [Config, *(type(section) for section in vars(Config()).values() if dataclasses.is_dataclass(section))]
    sections += [kind for kinds in KINDS.values() for kind in kinds.values()]
    names = [field.name for section in sections for field in dataclasses.fields(section)]
    return nearest(str(error).split("'")[1], names)
