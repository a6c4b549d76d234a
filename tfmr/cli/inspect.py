"""`tfmr inspect CONFIG|RUN`: where the parameters are, and what training costs."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tfmr.cli.arguments import parse, print_options, split_options
from tfmr.config import Config, ModelConfig, TransformerConfig
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
    from tfmr.analysis.chips import chip_named
    from tfmr.models.account import parameter_table

    chip_named(options.chip)  # refused before anything is printed
    model = dataclasses.replace(config.model, vocab_size=config.model.vocab_size or config.data.vocab_size)
    for name, count in parameter_table(model).items():
        print(f"{name:32} {count:>15,}")
    total = sum(parameter_table(model).values())
    print(f"{'total':32} {total:>15,}   (vocabulary {model.vocab_size:,})")
    _print_breakdown(model)
    _print_memory(config, model)
    _print_training(config, model, options)


def _print_breakdown(model: ModelConfig) -> None:
    from tfmr.models.breakdown import attention_share, weight_breakdown

    table = weight_breakdown(model)
    total = sum(table.values())
    print("\nmatrices by their use, without biases, norms and positions, the unembedding counted also where it is tied")
    for name, count in {**table, "all": total}.items():
        print(f"  {name:30} {count / total:>7.2%} {count:>20,}")
    print(f"  {'attention (query to output)':30} {attention_share(model):>7.2%}\n")


def _print_memory(config: Config, model: ModelConfig) -> None:
    from tfmr.models.breakdown import cache_bytes, training_bytes

    length = config.data.max_length
    state = training_bytes(model, moving_average=config.training.ema_decay > 0) / 2**30
    kept = "parameters, gradient, two moments" + (", average" if config.training.ema_decay > 0 else "")
    print(f"{'GiB of training, activations not':32} {state:>15.3f}   (float32: {kept})")
    print(
        f"{'GiB of the cache of one text':32} {cache_bytes(model, length) / 2**30:>15.3f}   "
        f"({length:,} tokens, {model.dtype})"
    )


def _config(arguments: list[str]) -> Config:
    """The config of a run directory or of a file; `--help` tells this command's own options first."""
    from tfmr.cli.config_file import parse_config
    from tfmr.runs.run_directory import RunDirectory

    if {"-h", "--help"} & set(arguments):
        print_options(Options, PROG)
    if not arguments or not Path(arguments[0]).is_dir():
        return parse_config(arguments, PROG)
    if len(arguments) > 1:
        raise InputError(f"{arguments[1]!r}: a run directory takes no options here; give its config file instead")
    return RunDirectory.open(arguments[0]).config


def _lengths(config: Config) -> tuple[int, int]:
    """Tokens of a source and of a target; a language model has only the latter."""
    return (32, 32) if isinstance(config.model, TransformerConfig) else (0, config.data.max_length)


def _print_training(config: Config, model: ModelConfig, options: Options) -> None:
    from tfmr.analysis.chips import chip_named
    from tfmr.analysis.roofline import training_seconds
    from tfmr.models.account import training_flops_per_token

    chip = chip_named(options.chip)
    tokens, lengths = config.data.tokens_per_batch, _lengths(config)
    per_token = training_flops_per_token(model, *lengths)
    print(f"{'training FLOPs per target token':32} {per_token:>15.3e}")
    print(f"{'training FLOPs per step':32} {per_token * tokens:>15.3e}   ({tokens:,} target tokens)")
    for steps in sorted({PAPERS_STEPS, config.training.steps}):
        hours = training_seconds(per_token * tokens * steps, chip, options.chips, options.mfu) / 3600
        print(
            f"{f'hours for {steps:,} steps':32} {hours:>15.2f}   ({options.chips} x {chip.name}, MFU {options.mfu:g})"
        )
    of = (
        f"sentences of {lengths[0]} source and {lengths[1]} target tokens"
        if lengths[0]
        else f"rows of {lengths[1]} tokens"
    )
    print(
        f"\nAssumed: {of}, data.tokens_per_batch target tokens a step without\n"
        "padding; 2 operations a multiplication and addition, matrix products only; the backward pass twice the\n"
        f"forward pass, nothing recomputed; a peak of {chip.flops / 1e12:g} TFLOP/s a chip; evaluation not counted."
    )
