"""`tfmr inspect CONFIG|RUN`: where the parameters are, and what training costs."""

import dataclasses
from pathlib import Path

from tfmr.errors import InputError


def main(arguments: list[str]) -> None:
    """Prints the account of a config file (with overrides) or of a run directory."""
    if arguments and Path(arguments[0]).is_dir():
        from tfmr.run_directory import RunDirectory

        if len(arguments) > 1:
            raise InputError(f"{arguments[1]!r}: a run directory takes no options here; give its config file instead")
        config = RunDirectory.open(arguments[0]).read_config()
    else:
        from tfmr.cli.config_file import parse_config

        config = parse_config(arguments, "tfmr inspect")
    from tfmr.analysis.account import parameter_table, training_flops_per_token

    model = dataclasses.replace(config.model, vocab_size=config.model.vocab_size or config.data.vocab_size)
    for name, count in parameter_table(model).items():
        print(f"{name:32} {count:>15,}")
    total = sum(parameter_table(model).values())
    print(f"{'total':32} {total:>15,}   (vocabulary {model.vocab_size:,})")
    print(f"{'training FLOPs per target token':32} {training_flops_per_token(model):>15.3e}")
