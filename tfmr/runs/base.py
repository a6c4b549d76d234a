"""The base of a run: the run whose parameters it started from (`FineTuningConfig.init_from`)."""

import dataclasses
import os
from typing import Any

from tfmr.config import Config, FineTuningConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.runs.checkpoint_items import parameters_item, read_checksum
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import find_checkpoint, state_steps
from tfmr.runs.storage import AnyPath, is_remote


@dataclasses.dataclass(frozen=True)
class Base:
    """The parameters that a run starts from."""

    run: RunDirectory
    checkpoint: str
    """The folder of the checkpoint in the run directory, such as best/1500."""
    item: str
    """The item of the checkpoint that contains them."""
    checksum: int
    """Checksum of all their arrays."""

    @property
    def folder(self) -> AnyPath:
        """The folder of the checkpoint."""
        return self.run.path / self.checkpoint

    def record_in(self, run: RunDirectory) -> None:
        """Writes base.json, by which `recorded_base` finds the parameters again."""
        values = {name: getattr(self, name) for name in ("checkpoint", "item", "checksum")}
        run.write_base({"path": _path_from(run, self.run), **values})


def base_of(run: RunDirectory, config: FineTuningConfig) -> Base | None:
    """Returns the parameters that a run must read before its first step; None if there are none.

    A run that continues has them in its own checkpoints, unless it has low-rank changes only.

    Raises:
      InputError: if they are missing, or not those that a run with low-rank changes began with.
    """
    if not config.init_from:
        return None
    if not state_steps(run):
        return _find_base(config)
    # `check_same_run` will refuse to add low-rank changes to a run that has none.
    continues = config.lora_rank and run.config.fine_tuning.lora_rank
    return recorded_base(run, config.init_from) if continues else None


def _find_base(config: FineTuningConfig) -> Base:
    run = RunDirectory.open(config.init_from)
    _ = run.config  # of a folder that is not a run directory, the message says what it is
    folder = find_checkpoint(run, config.checkpoint)
    item = parameters_item(folder)
    if item.endswith("lora"):
        raise InputError(
            f"{run.path}: contains low-rank changes only; create a run with all parameters first: tfmr merge "
            f"{run.path} OUT"
        )
    checksum = read_checksum(folder, item)
    if checksum is None:
        raise InputError(
            f"{folder}: was saved by an earlier version, without checksums; export it with --format tfmr, import it "
            "again, and start from that run"
        )
    return Base(run, f"{folder.parent.name}/{folder.name}", item, checksum)


def recorded_base(run: RunDirectory, path: str = "") -> Base:
    """Returns the parameters that a run started from, as its base.json says.

    Args:
      run: the run.
      path: where the base is now; empty: where base.json says.

    Raises:
      InputError: if they are missing or have changed.
    """
    base = base_record(run, path)
    if not base.folder.is_dir():
        raise InputError(
            f"{run.path}: needs the parameters {base.folder}, which are missing; restore them, or correct the path in "
            f"{run.base_file}"
        )
    if read_checksum(base.folder, base.item) != base.checksum:
        raise InputError(
            f"{run.path}: the parameters {base.folder} are not those that this run started from; restore the original "
            "ones from a backup, or correct the path in --init-from or base.json"
        )
    return base


def base_record(run: RunDirectory, path: str = "") -> Base:
    """Returns what base.json says, like `recorded_base`, even if these parameters are missing or have changed."""
    record = run.read_base()
    other = RunDirectory(path or _path_to(run, record["path"]))
    return Base(other, record["checkpoint"], record["item"], record["checksum"])


def _path_from(run: RunDirectory, base: RunDirectory) -> str:
    """Returns the path of a base: from the run directory if both are local, so that they can be moved together."""
    if is_remote(base.path):
        return os.fspath(base.path)
    path = os.path.realpath(base.path)
    return path if is_remote(run.path) else os.path.relpath(path, os.path.realpath(run.path))


def _path_to(run: RunDirectory, path: str) -> str:
    return path if "://" in path else os.path.normpath(os.path.join(os.path.realpath(run.path), path))


def with_base(config: Config, run: RunDirectory, base: Base | None) -> tuple[Config, Tokenizer | None]:
    """Returns a configuration with the shape of the model that it starts from, and the tokenizer of that model.

    A run that continues has both already. Without `init_from`, the configuration is unchanged and there is no
    tokenizer.

    Raises:
      InputError: if the configuration has another shape or tokenizer.
    """
    tuning = config.fine_tuning
    if not tuning.init_from:
        return config, None
    if getattr(config.data, "tokenizer_file", ""):
        raise InputError(
            f"data.tokenizer_file = {config.data.tokenizer_file!r}: cannot be combined with --init-from, which takes "  # pyright: ignore
            "the tokenizer of that run"
        )
    continues = base is None or bool(state_steps(run))
    source = run if continues else base.run  # pyright: ignore[reportOptionalMemberAccess]
    tokenizer = source.tokenizer if hasattr(config.data, "tokenizer_file") else None
    vocab_size = getattr(source.config.model, "vocab_size", 0)
    if tuning.new_tokens and not continues:
        if tokenizer is None:
            kind = type(config.data).__name__
            raise InputError(f"fine_tuning.new_tokens = {tuning.new_tokens!r}: {kind} has no tokenizer; leave it out")
        tokenizer = tokenizer.with_tokens(tuning.new_tokens)
        vocab_size = max(vocab_size, tokenizer.vocab_size)
    return dataclasses.replace(config, model=_shaped(config.model, source, vocab_size)), tokenizer


def _shaped(config: Any, source: RunDirectory, vocab_size: int) -> Any:
    """Returns the shape of the model of a run, with the fields of a configuration that concern only its computation.

    The vocabulary has the given size, or a larger one if the configuration says so.
    """
    shape: Any = source.config.model
    if type(shape) is not type(config):
        given, kind = type(config).__name__, type(shape).__name__
        raise InputError(f"model = {given}: {source.path} has a {kind}; use a config with model={kind}(...)")
    changes = {}
    for field in dataclasses.fields(shape):
        value, own = getattr(config, field.name), getattr(shape, field.name)
        if field.name in config.run_time:
            changes[field.name] = value
        elif field.name == "vocab_size" and (value == 0 or value >= vocab_size):
            changes[field.name] = max(value, vocab_size)
        elif value not in (own, field.default):
            expected = f"at least {vocab_size}" if field.name == "vocab_size" else repr(own)
            raise InputError(
                f"model.{field.name} = {value!r}: the model in {source.path} has {expected}; leave this field out, "
                "since the shape comes from that run"
            )
    return dataclasses.replace(shape, **changes)
