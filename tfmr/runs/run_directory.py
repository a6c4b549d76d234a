"""The run directory, which contains everything that belongs to a run."""

import dataclasses
import functools
import io
import json
import os
import zipfile
from typing import Any

import numpy as np

from tfmr.config import Config, config_from_dict, config_to_dict
from tfmr.data.text_batches import TextSplit
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.runs.storage import AnyPath, first_line, storage_path, write_bytes, write_text


class RunDirectory:
    """The paths of a run directory, with methods to read and write its small files.

    It is a local folder or a folder of an object store (gs://bucket/run).

    Attributes:
      path: the folder.
      config_file: the configuration, as JSON.
      tokenizer_file: the tokenizer, in the format of the tokenizers library.
      corpus_file: the hash of the content of the corpus, as JSON; missing in older runs.
      base_file: the run whose parameters this one started from, as JSON; missing in runs with random initial ones.
      metrics_file: one line of metrics, a JSON object, per logged step and per evaluation.
      evaluation: the validation and test sentences, or the tokens of a validation text.
      checkpoints: the newest complete states, by step.
      best: the parameters of the best evaluation.
      averaged: the average computed by `tfmr average`.
      profile: the profile of a few steps (`training.profile_steps`), as xprof reads it.
      ctranslate2: the model as CTranslate2 reads it, for `--engine ctranslate2`.
      damaged: damaged checkpoints that were set aside when training continued, by step.
    """

    def __init__(self, path: str | os.PathLike):
        """Takes the path or URL of a folder, which need not exist yet."""
        self.path = path = storage_path(path)
        self.config_file = path / "config.json"
        self.tokenizer_file = path / "tokenizer.json"
        self.corpus_file = path / "corpus.json"
        self.base_file = path / "base.json"
        self.metrics_file = path / "metrics.jsonl"
        self.evaluation = path / "evaluation"
        self.checkpoints = path / "checkpoints"
        self.best = path / "best"
        self.averaged = path / "averaged"
        self.profile = path / "profile"
        self.ctranslate2 = path / "ctranslate2"
        self.damaged = path / "damaged"

    @classmethod
    def open(cls, path: "str | os.PathLike | RunDirectory") -> "RunDirectory":
        """Returns an existing run directory; raises InputError if `path` is not one."""
        run = path if isinstance(path, RunDirectory) else cls(path)
        if not run.config_file.is_file():
            raise InputError(f"{run.path}: not a run directory (it has no config.json); train.py creates one")
        return run

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; raises InputError if the file is missing or damaged."""
        try:
            text = self.tokenizer_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.tokenizer_file}: cannot be read ({first_line(error)}); restore it from a backup"
            ) from None
        return Tokenizer.from_json(text, str(self.tokenizer_file))

    @property
    def tokenizer_fingerprint(self) -> str:
        """The fingerprint of the tokenizer; empty if the run has none."""
        return self.tokenizer.fingerprint if self.tokenizer_file.exists() else ""

    def write_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Writes tokenizer.json atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.tokenizer_file, tokenizer.to_json())
        self.__dict__.pop("tokenizer", None)

    @functools.cached_property
    def config(self) -> Config:
        """The configuration; raises InputError if the file is damaged or has unknown keys."""
        try:
            values = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{self.config_file}: cannot be read as JSON ({error}); restore it from a backup"
            ) from None
        if not isinstance(values, dict):
            raise InputError(f"{self.config_file}: must be a JSON object; restore it from a backup")
        if "model_type" in values:
            raise InputError(
                f"{self.path}: contains a model of type {values['model_type']!r}, and is not a run directory; create "
                f"one from it: tfmr import {self.path} RUN"
            )
        try:
            return config_from_dict(values)
        except InputError as error:
            raise InputError(f"{self.config_file}: {error}") from None

    def write_config(self, config: Config) -> None:
        """Writes config.json atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config_file, json.dumps(config_to_dict(config), indent=2) + "\n")
        self.__dict__.pop("config", None)

    def write_corpus_hash(self, content: str) -> None:
        """Writes corpus.json atomically."""
        write_text(self.corpus_file, json.dumps({"content": content}) + "\n")

    def read_corpus_hash(self) -> str:
        """Returns the hash of the content of the run's corpus; "" for an older run, which does not record it.

        Raises:
          InputError: if corpus.json is damaged.
        """
        if not self.corpus_file.exists():
            return ""
        try:
            return str(json.loads(self.corpus_file.read_text(encoding="utf-8"))["content"])
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.corpus_file}: is damaged ({first_line(error)}); restore it from a backup"
            ) from None

    def write_base(self, values: dict[str, Any]) -> None:
        """Writes base.json atomically; see `tfmr.runs.base.Base`."""
        write_text(self.base_file, json.dumps(values, indent=2) + "\n")

    def read_base(self) -> dict[str, Any]:
        """Returns the values of base.json; raises InputError if it is missing or damaged."""
        try:
            values = json.loads(self.base_file.read_text(encoding="utf-8"))
            kinds = {"path": str, "checkpoint": str, "item": str, "checksum": int}
            return {name: kind(values[name]) for name, kind in kinds.items()}
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.base_file}: missing or damaged ({first_line(error)}); restore it from a backup"
            ) from None

    def copy_evaluation(self, other: "RunDirectory") -> None:
        """Copies the evaluation data to another run directory."""
        for file in self.evaluation.iterdir() if self.evaluation.is_dir() else ():
            other.evaluation.mkdir(parents=True, exist_ok=True)
            write_bytes(other.evaluation / file.name, file.read_bytes())

    def has_split(self, split: str) -> bool:
        """Returns whether the run directory contains the sentences or tokens of a split."""
        return any((self.evaluation / name).exists() for name in (f"{split}.source.txt", f"{split}.npz"))

    def write_text_split(self, split: str, source: list[str], target: list[str]) -> None:
        """Writes the sentences of "validation" or "test" to the run directory."""
        self.evaluation.mkdir(parents=True, exist_ok=True)
        for side, lines in (("source", source), ("target", target)):
            write_text(self.evaluation / f"{split}.{side}.txt", "".join(line + "\n" for line in lines))

    def write_token_split(self, split: str, text: TextSplit) -> None:
        """Writes the tokens of the "validation" split of a running text to the run directory."""
        self.evaluation.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, tokens=text.tokens, offsets=text.offsets, begin_mark=text.begin_mark)
        write_bytes(self.evaluation / f"{split}.npz", content.getvalue())

    def read_token_split(self, split: str) -> TextSplit:
        """Returns the tokens of the "validation" split of a running text; raises InputError if they cannot be read."""
        file = self.evaluation / f"{split}.npz"
        try:
            arrays = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
            text = TextSplit(arrays["tokens"], arrays["offsets"])
            if "begin_mark" in arrays:  # missing in older runs
                text = dataclasses.replace(text, begin_mark=int(arrays["begin_mark"]))
            return text
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"{file}: missing or damaged ({first_line(error)}); restore it from a backup") from None

    def read_text_split(self, split: str) -> tuple[list[str], list[str]]:
        """Returns the source and target lines of "validation" or "test"; raises InputError if they are missing."""
        sides = []
        for side in ("source", "target"):
            file = self.evaluation / f"{split}.{side}.txt"
            if not file.is_file():
                raise InputError(f"{file}: missing; choose another split, or give --source and --target files")
            *lines, rest = _decoded(file).split("\n")
            sides.append(lines)
            if rest:
                raise InputError(
                    f"{file}: truncated or damaged (its last line is incomplete); restore it from a backup"
                )
        if len(sides[0]) != len(sides[1]):
            counts = f"{len(sides[0])} source and {len(sides[1])} target lines"
            raise InputError(f"{self.evaluation}: {split} is damaged ({counts}); restore it from a backup")
        return sides[0], sides[1]


def _decoded(file: AnyPath) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({first_line(error)}); restore it from a backup") from None
