"""`tfmr inspect CONFIG|RUN`: where the parameters are, and what training costs."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tfmr.cli.arguments import parse, print_options, split_options
from tfmr.config import Config, TransformerConfig
from tfmr.errors import InputError

PROG = "tfmr inspect"
PAPERS_STEPS = 100_000


@dataclass(frozen=True)
class Options:
    """What the training's length in hours is told for; all other options are the config's."""

    chip: str = "v5e"
    """The accelerator: v4, v5e, v5p, v6e, p100 (the paper's, float32), a100 or h100."""
    chips: int = 8
    """How many of them."""
    mfu: float = 0.4
    """Model FLOP utilisation: the share of their peak that training reaches. `tfmr compile` gives a bound."""

    def __post_init__(self):
        if self.chips < 1:
            raise InputError(f"--chips = {self.chips}: must be 1 or more")
        if not 0.0 < self.mfu <= 1.0:
            raise InputError(f"--mfu = {self.mfu}: must be in (0, 1]")


def main(arguments: list[str]) -> None:
    """Prints the account of a config file (with overrides) or of a run directory."""
    own, rest = split_options(Options, arguments)
    options = parse(Options, own, prog=PROG)
    config = _config(rest)
    from tfmr.analysis.account import parameter_table
    from tfmr.analysis.chips import chip_named

    chip_named(options.chip)  # refused before anything is printed
    model = dataclasses.replace(config.model, vocab_size=config.model.vocab_size or config.data.vocab_size)
    for name, count in parameter_table(model).items():
        print(f"{name:32} {count:>15,}")
    total = sum(parameter_table(model).values())
    print(f"{'total':32} {total:>15,}   (vocabulary {model.vocab_size:,})")
    _print_training(config, model, options)


def _config(arguments: list[str]) -> Config:
    """The config of a run directory or of a file; `--help` tells this command's own options first."""
    from tfmr.cli.config_file import parse_config
    from tfmr.run_directory import RunDirectory

    if {"-h", "--help"} & set(arguments):
        print_options(Options, PROG)
    if not arguments or not Path(arguments[0]).is_dir():
        return parse_config(arguments, PROG)
    if len(arguments) > 1:
        raise InputError(f"{arguments[1]!r}: a run directory takes no options here; give its config file instead")
    return RunDirectory.open(arguments[0]).read_config()


def _print_training(config: Config, model: TransformerConfig, options: Options) -> None:
    from tfmr.analysis.account import training_flops_per_token
    from tfmr.analysis.chips import chip_named
    from tfmr.analysis.roofline import training_seconds

    chip = chip_named(options.chip)
    per_token, tokens = training_flops_per_token(model), config.data.tokens_per_batch
    print(f"{'training FLOPs per target token':32} {per_token:>15.3e}")
    print(f"{'training FLOPs per step':32} {per_token * tokens:>15.3e}   ({tokens:,} target tokens)")
    for steps in sorted({PAPERS_STEPS, config.training.steps}):
        hours = training_seconds(per_token * tokens * steps, chip, options.chips, options.mfu) / 3600
        print(
            f"{f'hours for {steps:,} steps':32} {hours:>15.2f}   ({options.chips} x {chip.name}, MFU {options.mfu:g})"
        )
    print(
        "\nAssumed: sentences of 32 source and 32 target tokens, data.tokens_per_batch target tokens a step without\n"
        "padding; 2 operations a multiplication and addition, matrix products only; the backward pass twice the\n"
        f"forward pass, nothing recomputed; a peak of {chip.flops / 1e12:g} TFLOP/s a chip; evaluation not counted."
    )
