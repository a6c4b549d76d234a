"""`python train.py CONFIG [--section.field VALUE ...]`: train, or continue what was stopped."""

import sys


def main(arguments: list[str]) -> None:
    """Trains a recipe; exit status 128 + signal where a signal stopped it, 1 where it diverged."""
    from tfmr.cli.config_file import parse_config

    config = parse_config(arguments, "python train.py")
    from tfmr.training import Diverged, Stopped, fit, task_for

    try:
        fit(task_for(config), config)
    except Stopped as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        sys.exit(128 + stopped.signal_number)
    except Diverged as diverged:
        print(diverged, file=sys.stderr)
        sys.exit(1)
