"""The run directory: its files, checkpoints, averages, metrics and storage."""

from tfmr.errors import require_packages

require_packages("orbax", "tokenizers")

from tfmr.runs.averaging import average_checkpoints
from tfmr.runs.parameters import load_run, read_params
from tfmr.runs.run_directory import RunDirectory

__all__ = ["RunDirectory", "average_checkpoints", "load_run", "read_params"]
