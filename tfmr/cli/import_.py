"""`tfmr import FROM RUN`: creates a run directory from a model that another program has trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from tfmr.cli.arguments import Run, parse
from tfmr.config import Config, PairsConfig, RunningTextConfig
from tfmr.data.tokenizer import OURS, SentencePieceTokenizer, Tokenizer
from tfmr.errors import InputError

_Model = tuple[Config, Tokenizer, Any]
"""Configuration, tokenizer and parameters."""


@dataclass(frozen=True)
class Arguments:
    """Creates a run directory from the folder of a Marian or GPT-2 model, or from weights written by `tfmr export`."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """A Marian folder with config.json, model.safetensors, vocab.json, source.spm and target.spm, such as OPUS-MT's; a
    GPT-2 folder with config.json, model.safetensors and tokenizer.json (or vocab.json and merges.txt); or a safetensors
    file with flat names."""
    run: Run
    """The run directory to create. It must not exist."""
    tokenizer: str = ""
    """For a safetensors file: its tokenizer.json."""


def main(arguments: list[str]) -> None:
    """Creates the complete run directory, or nothing if an error occurs."""
    options = parse(Arguments, arguments, prog="tfmr import")
    from tfmr.interop import new_folder
    from tfmr.runs.outputs import check_new_path

    check_new_path(options.run)
    from tfmr.runs import RunDirectory
    from tfmr.runs.checkpoints import save_params

    read, command = _reader(options)
    config, tokenizer, params = read(options)
    with new_folder(options.run) as folder:
        run = RunDirectory(folder)
        run.write_tokenizer(tokenizer)
        save_params(run.best, 0, params)
        run.write_config(config)
    print(f"created {options.run}; to use it: {command.format(options.run)}")


def _reader(options: Arguments) -> tuple[Any, str]:
    """Returns the function that reads the source, and a command that uses the result."""
    if Path(options.source).is_file():
        return _read_file, "tfmr translate {}"
    from tfmr.interop.folders import model_type

    if options.tokenizer:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: the model folder contains its own tokenizer; omit this option"
        )
    if model_type(Path(options.source)) == "gpt2":
        return _read_gpt2, "tfmr generate {} --prompt TEXT"
    return _read_marian, "tfmr translate {}"


def _read_gpt2(options: Arguments) -> _Model:
    from tfmr.interop import read_gpt2

    model = read_gpt2(options.source)
    tokenizer = Tokenizer.from_json(model.tokenizer_json, options.source)
    length = model.config.max_length
    data = RunningTextConfig(
        document_separator=model.end_of_text if model.has_documents else "",
        max_length=length,
        tokens_per_batch=max(4096, length),
    )
    return Config(model=model.config, data=data), tokenizer, model.params


def _read_marian(options: Arguments) -> _Model:
    from tfmr.interop import read_marian

    model = read_marian(options.source)
    tokenizer = SentencePieceTokenizer(model.vocabulary, model.source_spm, model.target_spm, options.source)
    source, target = model.languages
    data = PairsConfig(corpus="text", source_language=source, target_language=target)
    return Config(model=model.config, data=data, decoding=model.decoding), tokenizer, model.params


def _read_file(options: Arguments) -> _Model:
    from tfmr.interop import load_safetensors
    from tfmr.interop.weights import tokenizer_fingerprint

    if not options.tokenizer:
        raise InputError("--tokenizer: missing; give the tokenizer.json that belongs to the safetensors file")
    model, params = load_safetensors(options.source)
    tokenizer = Tokenizer.from_file(options.tokenizer)
    if tokenizer.vocab_size > model.vocab_size:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: has {tokenizer.vocab_size} tokens, but the model in "
            f"{options.source} has {model.vocab_size}; give the model's tokenizer"
        )
    if tokenizer_fingerprint(options.source) not in ("", tokenizer.fingerprint):
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: is not the tokenizer of the model in {options.source}; give the "
            "tokenizer.json of the run that was exported"
        )
    if type(model) not in PairsConfig.models:
        raise InputError(
            f"{options.source}: contains a language model but not its document format; export it as gpt2 instead"
        )
    if tokenizer.marks != OURS:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: belongs to a language model, but "
            f"{options.source} is a translation model"
        )
    return Config(model=model, data=PairsConfig(corpus="text")), tokenizer, params
