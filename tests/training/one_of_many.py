"""One process of several on this machine: python one_of_many.py RECIPE [--section.field VALUE ...].

In addition to training, it records the rows of each batch and the translations of each evaluation in files named after
$RECORD. It makes at most one batch in $SECONDS_A_BATCH, and cannot read the arrays of the checkpoint of step
$UNREADABLE.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tfmr.cli import run
from tfmr.cli.train import main
from tfmr.data.pairs import PairSplit
from tfmr.runs import checkpoint_items
from tfmr.translation import task


def record_batches(file: Path, seconds: float) -> None:
    """Records every batch of training, and makes at most one in this number of seconds."""
    make_arrays = PairSplit.arrays

    def make(split, batch, *, rows_of=None, **kwargs):
        if rows_of is None:  # a batch of an evaluation, which every process makes as a whole
            return make_arrays(split, batch, **kwargs)
        time.sleep(seconds)
        wanted = []
        arrays = make_arrays(split, batch, rows_of=lambda rows: wanted.append(rows_of(rows)) or wanted[0], **kwargs)
        rows = {row: tokens.tolist() for row, tokens in zip(wanted[0], arrays["source"], strict=True)}
        append(file, rows)
        return arrays

    PairSplit.arrays = make


def record_translations(file: Path) -> None:
    """Records the translations of every evaluation."""
    corpus_scores = task.corpus_scores

    def score(hypotheses, *args):
        append(file, hypotheses)
        return corpus_scores(hypotheses, *args)

    task.corpus_scores = score


def refuse_checkpoint(step: str) -> None:
    """Makes reading the arrays of a step's checkpoint fail in this process."""
    read_tree = checkpoint_items._read_tree

    def read(checkpoint, *args):
        if checkpoint.name == step:
            raise ValueError("not readable here")
        return read_tree(checkpoint, *args)

    checkpoint_items._read_tree = read


def append(file: Path, value) -> None:
    """Adds a line of JSON."""
    with file.open("a") as out:
        out.write(json.dumps(value) + "\n")


if __name__ == "__main__":
    record = Path(os.environ["RECORD"])
    record_batches(record.with_suffix(".batches"), float(os.environ["SECONDS_A_BATCH"]))
    record_translations(record.with_suffix(".translations"))
    refuse_checkpoint(os.environ.get("UNREADABLE", "none"))
    run(main, sys.argv[1:])
