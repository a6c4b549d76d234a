"""`tfmr average RUN [--last N]`: averages the newest checkpoints of a run."""

from dataclasses import dataclass

from tfmr.cli.arguments import Run, parse


@dataclass(frozen=True)
class Arguments:
    """Averages the parameters of a run's newest checkpoints (section 6.1 of the paper)."""

    run: Run
    """The run directory."""
    last: int = 5
    """Number of newest checkpoints to average."""
    steps: tuple[int, ...] = ()
    """Steps of the checkpoints to average, instead of the newest."""


def main(arguments: list[str]) -> None:
    """Writes the average to the run directory as the checkpoint "averaged"."""
    options = parse(Arguments, arguments, prog="tfmr average")
    from tfmr.runs.averaging import average_checkpoints
    from tfmr.runs.run_directory import RunDirectory
    from tfmr.runs.storage import check_writable

    run = RunDirectory.open(options.run)
    check_writable(run.path)
    steps = average_checkpoints(run, last=None if options.steps else options.last, steps=list(options.steps) or None)
    print(f"averaged the checkpoints {', '.join(map(str, steps))} into {run.averaged}")
