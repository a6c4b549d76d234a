"""`tfmr import FROM RUN`: a run directory from a model that was trained elsewhere."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from tfmr.config import CausalLMConfig, Config, PairsConfig, RunningTextConfig
from tfmr.data.tokenizer import OURS, Tokenizer
from tfmr.errors import InputError


@dataclass(frozen=True)
class Arguments:
    """Makes a run directory from the folder of a Marian model or a GPT-2, or from weights that `tfmr export` wrote."""

    source: tyro.conf.Positional[str]
    """A folder with config.json, model.safetensors, vocab.json, source.spm and target.spm, as OPUS-MT's; one with
    config.json, model.safetensors and tokenizer.json (or vocab.json and merges.txt), as GPT-2's; or a safetensors file
    with flat names."""
    run: tyro.conf.Positional[str]
    """The run directory to make, which must not be there yet."""
    tokenizer: str = ""
    """Of a safetensors file: its tokenizer.json."""


def main(arguments: list[str]) -> None:
    """Makes the run directory whole or not at all; `tfmr translate`, `tfmr generate` and the others then use it."""
    from tfmr.cli.arguments import parse

    options = parse(Arguments, arguments, prog="tfmr import")
    if Path(options.run).exists():
        raise InputError(f"{options.run}: is there already: remove it, or give another folder")
    from tfmr.interop import new_folder
    from tfmr.runs.checkpoints import save_params
    from tfmr.runs.run_directory import RunDirectory

    read = _read_file if Path(options.source).is_file() else _read_folder
    config, tokenizer, params = read(options)
    with new_folder(options.run) as folder:
        run = RunDirectory.at(folder)
        save_params(run.best, 0, params)
        run.write_tokenizer(tokenizer)
        run.write_config(config)
    hint = "generate {} --prompt TEXT" if isinstance(config.model, CausalLMConfig) else "translate {}"
    print(f"made {options.run}: try  tfmr {hint.format(options.run)}")


def _read_folder(options: Arguments) -> tuple[Config, Tokenizer, Any]:
    from tfmr.interop.folders import read_json

    if options.tokenizer:
        raise InputError(f"--tokenizer = {options.tokenizer!r}: a folder has its own, leave this out")
    file = Path(options.source) / "config.json"
    is_gpt2 = file.is_file() and read_json(file).get("model_type") == "gpt2"
    return _read_gpt2(options) if is_gpt2 else _read_marian(options)


def _read_gpt2(options: Arguments) -> tuple[Config, Tokenizer, Any]:
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


def _read_marian(options: Arguments) -> tuple[Config, Tokenizer, Any]:
    from tfmr.data.sentence_pieces import SentencePieceTokenizer
    from tfmr.interop import read_marian

    model = read_marian(options.source)
    tokenizer = SentencePieceTokenizer(model.vocabulary, model.source_spm, model.target_spm, options.source)
    source, target = model.languages
    data = dataclasses.replace(PairsConfig(), corpus="text", source_language=source, target_language=target)
    return Config(model=model.config, data=data, decoding=model.decoding), tokenizer, model.params


def _read_file(options: Arguments) -> tuple[Config, Tokenizer, Any]:
    from tfmr.interop import load_safetensors

    if not options.tokenizer:
        raise InputError("--tokenizer: is missing: a safetensors file needs its tokenizer.json")
    model, params = load_safetensors(options.source)
    tokenizer = Tokenizer.from_file(options.tokenizer)
    if tokenizer.vocab_size > model.vocab_size:
        raise InputError(
            f"--tokenizer = {options.tokenizer!r}: has {tokenizer.vocab_size} tokens, the model of {options.source} "
            f"only {model.vocab_size}: give the model's own"
        )
    if isinstance(model, CausalLMConfig):
        raise InputError(
            f"{options.source}: holds a language model, and not how its texts begin and end; export it as gpt2 instead"
        )
    if tokenizer.marks != OURS:
        raise InputError(f"--tokenizer = {options.tokenizer!r}: is of a language model, not of {options.source}")
    return Config(model=model, data=PairsConfig(corpus="text")), tokenizer, params
