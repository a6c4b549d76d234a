"""`python train.py CONFIG [--section.field VALUE ...]`: trains a model, or continues a stopped run."""

import sys


def main(arguments: list[str]) -> None:
    """Trains a config. The exit status is 128 + the signal if one stopped it, and 1 if training diverged."""
    from tfmr.cli.config_file import parse_config

    config = parse_config(arguments, "python train.py")
    from tfmr.training import Diverged, Stopped, fit, task_for

    try:
        fit(task_for(config), config)
    except Stopped as stopped:
        print(f"{stopped}; run the same command to continue", file=sys.stderr)
        sys.exit(128 + stopped.signal_number)
    except Diverged as diverged:
        print(diverged, file=sys.stderr)
        sys.exit(1)
