"""A run directory is everything: its files, and reading a model back from them.

config.json        the configuration
tokenizer.json     the tokenizer
metrics.jsonl      a line of numbers for each logged step and each evaluation
evaluation/        the validation and test sentences
checkpoints/       the newest whole states, by step
best/              the parameters of the best evaluation
averaged/          the average that `tfmr average` made
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from tfmr.config import Config, config_from_dict, config_to_dict
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The paths of a run directory, and what is read from and written to its small files."""

    path: Path

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunDirectory":
        """Returns an existing run directory; raises InputError where `path` is none."""
        run = cls(Path(path))
        if not run.config_file.is_file():
            raise InputError(f"{path}: is no run directory: it has no config.json (train.py makes one)")
        return run

    @property
    def config_file(self) -> Path:
        """The configuration, as JSON."""
        return self.path / "config.json"

    @property
    def tokenizer_file(self) -> Path:
        """The tokenizer, as the tokenizers library writes it."""
        return self.path / "tokenizer.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Whole states, by step."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Parameters of the best evaluation."""
        return self.path / "best"

    @property
    def averaged(self) -> Path:
        """Parameters that are an average."""
        return self.path / "averaged"

    def read_config(self) -> Config:
        """Returns the configuration; raises InputError where the file is damaged or has unknown keys."""
        try:
            values = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.config_file}: cannot be read as JSON ({error})") from None
        try:
            return config_from_dict(values)
        except InputError as error:
            raise InputError(f"{self.config_file}: {error}") from None

    def write_config(self, config: Config) -> None:
        """Writes config.json, whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, json.dumps(config_to_dict(config), indent=2) + "\n")

    def write_text_split(self, split: str, source: list[str], target: list[str]) -> None:
        """Keeps the sentences of "validation" or "test" in the run directory."""
        folder = self.path / "evaluation"
        folder.mkdir(parents=True, exist_ok=True)
        for side, lines in (("source", source), ("target", target)):
            write_text(folder / f"{split}.{side}.txt", "".join(line + "\n" for line in lines))

    def read_text_split(self, split: str) -> tuple[list[str], list[str]]:
        """Returns source and target lines of "validation" or "test"; raises InputError where they are missing."""
        sides = []
        for side in ("source", "target"):
            file = self.path / "evaluation" / f"{split}.{side}.txt"
            if not file.is_file():
                raise InputError(f"{file}: is missing; choose another split, or give --source and --target files")
            sides.append(file.read_bytes().decode("utf-8").split("\n")[:-1])
        return sides[0], sides[1]


def write_text(file: Path, text: str) -> None:
    """Writes a file under a temporary name and renames it, so that it is never seen half written."""
    temporary = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    temporary.write_bytes(text.encode("utf-8"))
    os.replace(temporary, file)


def load_run(directory: str | os.PathLike, checkpoint: str = "") -> tuple[Config, Tokenizer, Any]:
    """Returns the configuration, tokenizer and parameters of a run.

    Args:
      directory: the run directory.
      checkpoint: "averaged", "best", "last", or a step; empty: the first of these that is there.

    Raises:
      InputError: if there is no such run or checkpoint, or the checkpoint is of another architecture than config.json.
    """
    from tfmr.parameters import read_params

    run = RunDirectory.open(directory)
    config = run.read_config()
    tokenizer = Tokenizer.from_file(run.tokenizer_file)
    return config, tokenizer, read_params(run, config.model, checkpoint)
