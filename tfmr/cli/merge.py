"""`tfmr merge RUN OUT`: adds the low-rank changes of a run to the parameters that it started from."""

from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from tfmr.cli.arguments import RunArguments, parse
from tfmr.config import FineTuningConfig
from tfmr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments(RunArguments):
    """Creates a run directory that contains all parameters, from a run with low-rank changes (LoRA)."""

    out: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OUT")]
    """The run directory to create. It must not exist."""


def main(arguments: list[str]) -> None:
    """Creates the complete run directory, or nothing if an error occurs."""
    options = parse(Arguments, arguments, prog="tfmr merge")
    from tfmr.data.files import new_folder
    from tfmr.runs import RunDirectory, read_params
    from tfmr.runs.base import base_record
    from tfmr.runs.checkpoints import save_params
    from tfmr.runs.outputs import check_new_path
    from tfmr.runs.saved_steps import find_checkpoint

    run = RunDirectory.open(options.run)
    config, tuning = run.config, run.config.fine_tuning
    if not tuning.lora_rank:
        raise InputError(f"{options.run}: has no low-rank changes; it already contains all of its parameters")
    check_new_path(options.out)
    step = int(find_checkpoint(run, options.checkpoint).name)
    params = read_params(run, config.model, options.checkpoint)
    with new_folder(options.out) as folder:
        merged = RunDirectory(folder)
        if run.tokenizer_file.exists():
            merged.write_tokenizer(run.tokenizer)
        save_params(merged.best, step, params)
        base_record(run).record_in(merged)
        run.copy_evaluation(merged)
        origin = FineTuningConfig(tuning.init_from, tuning.checkpoint)
        merged.write_config(replace(config, workdir=options.out, fine_tuning=origin))
    print(f"created {options.out} with the parameters of {options.run} at step {step}")
