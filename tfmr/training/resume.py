"""What may change between a run and its continuation."""

from typing import Any

from tfmr.config import Config, config_to_dict
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.run_directory import RunDirectory

FREE = {
    "workdir",
    "mesh",
    "decoding",
    "data.cache",
    "data.dir",
    "training.steps",
    "training.log_every",
    "training.evaluate_every",
    "training.bleu_sentences",
    "training.checkpoint_every",
    "training.keep_last",
    "training.patience",
    "training.accumulation",
    "training.loss_chunk",
    "model.remat",
}
"""Sections and fields that do not change what a step computes, or only how long and how often."""


def check_same_run(run: RunDirectory, config: Config) -> None:
    """Raises InputError where a run directory was made with another configuration, naming both values."""
    if not run.config_file.exists():
        return
    before = _flatten(config_to_dict(run.read_config()))
    for name, value in _flatten(config_to_dict(config)).items():
        if name in FREE or name.split(".")[0] in FREE or before[name] == value:
            continue
        raise InputError(
            f"{name} = {value!r}: {run.path} was made with {before[name]!r}; give that, or another --workdir"
        )


def check_same_tokenizer(run: RunDirectory, tokenizer: Tokenizer) -> None:
    """Raises InputError where the corpus was changed since, so that its tokenizer gives tokens another meaning."""
    file = run.tokenizer_file
    if file.exists() and Tokenizer.from_file(file).to_json() != tokenizer.to_json():
        raise InputError(
            f"{file}: the corpus was changed since the run began and has another tokenizer now; give another --workdir"
        )


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
