"""Trains a recipe: python train.py CONFIG [--section.field VALUE ...]. See --help."""

import sys

from tfmr.cli import run
from tfmr.cli.train import main

if __name__ == "__main__":
    run(main, sys.argv[1:])
