"""Trains a model: python train.py CONFIG [--section.field VALUE ...]. See --help."""

import sys

from tfmr.cli import run
from tfmr.cli.memory import use_huge_pages
from tfmr.cli.train import main

if __name__ == "__main__":
    use_huge_pages()
    run(main, sys.argv[1:])
