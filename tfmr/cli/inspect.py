"""`tfmr inspect CONFIG|RUN`: counts the parameters, and the cost of training."""

from dataclasses import dataclass
from pathlib import Path

from tfmr.cli.arguments import parse, print_options, split_options
from tfmr.cli.config_file import parse_config, with_base, with_vocabulary
from tfmr.config import Config
from tfmr.errors import InputError

PROG = "tfmr inspect"
PAPERS_STEPS = 100_000


@dataclass(frozen=True)
class Options:
    """The hardware for which training time is estimated. All other options belong to the config."""

    chip: str = "v5e"
    """The accelerator: v4, v5e, v5p, v6e, p100 (the paper's, float32), a100, h100 or h200."""
    chips: int = 8
    """Number of accelerators."""
    mfu: float = 0.4
    """Model FLOP utilisation: the fraction of peak FLOP/s that training achieves. `tfmr compile` computes a bound."""

    def __post_init__(self):
        if self.chips < 1:
            raise InputError(f"--chips = {self.chips}: must be 1 or more")
        if not 0.0 < self.mfu <= 1.0:
            raise InputError(f"--mfu = {self.mfu}: must be in (0, 1]")


def main(arguments: list[str]) -> None:
    """Prints the account of a config file (with overrides) or of a run directory."""
    own, rest = split_options(Options, arguments)
    options = parse(Options, own, prog=PROG)
    config = with_vocabulary(_config(rest))
    from tfmr.models.account import parameter_table
    from tfmr.models.chips import chip_named

    chip_named(options.chip)  # raises before anything is printed
    table = parameter_table(config.model)
    for name, count in table.items():
        print(f"{name:32} {count:>15,}")
    print(f"{'total':32} {sum(table.values()):>15,}   (vocabulary {config.model.vocab_size:,})")
    _print_breakdown(config)
    _print_memory(config)
    _print_training(config, options)


def _config(arguments: list[str]) -> Config:
    """Returns the config of a run directory or of a file. `--help` prints this command's own options first."""
    if {"-h", "--help"} & set(arguments):
        print_options(Options, PROG)
    if not arguments or not Path(arguments[0]).is_dir():
        return with_base(parse_config(arguments, PROG))[0]
    if len(arguments) > 1:
        raise InputError(
            f"{arguments[1]!r}: a run directory cannot be combined with options; give its config file instead"
        )
    from tfmr.runs import RunDirectory

    return RunDirectory.open(arguments[0]).config


def _print_breakdown(config: Config) -> None:
    from tfmr.models.account import attention_share, weight_breakdown

    table = weight_breakdown(config.model)
    total = sum(table.values())
    print("\nmatrices by use, excluding biases, norms and positions; a tied unembedding is counted as well")
    for name, count in {**table, "all": total}.items():
        print(f"  {name:30} {count / total:>7.2%} {count:>20,}")
    print(f"  {'attention (query to output)':30} {attention_share(config.model):>7.2%}\n")


def _print_memory(config: Config) -> None:
    from tfmr.models.account import cache_bytes, training_bytes
    from tfmr.models.model import build_model
    from tfmr.models.trainable import learning_and_frozen

    length, has_average = config.data.max_length, config.training.ema_decay > 0
    tuning = config.fine_tuning
    state = training_bytes(config.model, moving_average=has_average, fine_tuning=tuning) / 2**30
    parts = "parameters, gradient, two moments" + (", average" if has_average else "")
    learning, frozen = learning_and_frozen(build_model(config.model), tuning)
    if frozen:
        print(f"{'parameters that learn':32} {learning:>15,}")
        parts = parts.replace(", ", " and, of those that learn, ", 1)
    print(f"{'GiB for training, no activations':32} {state:>15.3f}   (float32: {parts})")
    cache, dtype = cache_bytes(config.model, length) / 2**30, getattr(config.model, "dtype", "float32")
    print(f"{'GiB of key/value cache per text':32} {cache:>15.3f}   ({length:,} tokens, {dtype})")


def _print_training(config: Config, options: Options) -> None:
    from tfmr.models.account import training_flops_per_token
    from tfmr.models.chips import chip_named, training_seconds

    chip = chip_named(options.chip)
    tokens, (source, target) = config.data.tokens_per_batch, config.data.typical_lengths
    per_token = training_flops_per_token(config.model, source, target)
    print(f"{'training FLOPs per target token':32} {per_token:>15.3e}")
    print(f"{'training FLOPs per step':32} {per_token * tokens:>15.3e}   ({tokens:,} target tokens)")
    for steps in sorted({PAPERS_STEPS, config.training.steps}):
        hours = training_seconds(per_token * tokens * steps, chip, options.chips, options.mfu) / 3600
        print(
            f"{f'hours for {steps:,} steps':32} {hours:>15.2f}   ({options.chips} x {chip.name}, MFU {options.mfu:g})"
        )
    rows = f"sentences of {source} source and {target} target tokens" if source else f"rows of {target} tokens"
    print(
        f"\nAssumptions: {rows}; data.tokens_per_batch target tokens per step,\n"
        "without padding; only matrix products count, at 2 FLOPs per multiply-add; the backward pass costs twice the\n"
        "forward pass; no recomputation and no evaluation; a peak of "
        f"{chip.flops / 1e12:g} TFLOP/s per chip."
    )
