"""`tfmr export RUN`: writes a model for transformers or CTranslate2, or its weights to a file."""

from dataclasses import dataclass
from typing import Literal

from tfmr.cli.arguments import RunArguments, parse
from tfmr.errors import InputError


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Writes the model of a run in the format of another program."""

    format: Literal[
        "tfmr", "marian", "m2m_100", "bart", "mbart", "t5", "mt5", "umt5", "gpt2", "ctranslate2", "safetensors"
    ] = "safetensors"
    """tfmr: a folder that represents every model, with its tokenizer and configuration, for tfmr import. marian: a
    folder for Hugging Face transformers (post-norm translation models with sinusoids). m2m_100, bart, mbart, t5, mt5,
    umt5: a folder for transformers (translation models of these families). gpt2: a folder for transformers
    (pre-norm language models without gates). ctranslate2: a folder for CTranslate2. safetensors: a single file of
    weights with flat names."""
    output: str = ""
    """The folder or file to write. It must not exist."""


def main(arguments: list[str]) -> None:
    """Writes the complete model, or nothing if an error occurs."""
    options = parse(Arguments, arguments, prog="tfmr export")
    if not options.output:
        raise InputError("--output: missing; give the folder or file to write")
    from tfmr.interop import new_folder, save_safetensors
    from tfmr.interop.folders import FORMATS
    from tfmr.runs import RunDirectory, load_run
    from tfmr.runs.outputs import check_new_path

    run = RunDirectory.open(options.run)
    # Reading the weights takes a while, so check first.
    check_new_path(options.output)
    if options.format != "safetensors":
        FORMATS[options.format].check(run.config.model)
    if options.format not in ("tfmr", "safetensors") and run.tokenizer.tags.right_to_left:
        raise InputError(
            f"--format = {options.format!r}: cannot represent a run that writes from right to left; use tfmr"
        )
    config, tokenizer, params = load_run(run, options.checkpoint)
    if options.format == "safetensors":
        save_safetensors(options.output, config.model, params, tokenizer, config)
    else:
        with new_folder(options.output) as folder:
            FORMATS[options.format].write(folder, config, params, tokenizer)
    print(f"wrote {options.output}")
