"""Corpora of any size are prepared in the same memory: 10 million pairs in 1.5 GB, 2 GB of text in 1 GB.

`make test-long` runs it, which takes about an hour on two cores and 15 GB of disk. TFMR_LONG_SHARE=0.01 makes the
corpora a hundred times smaller.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tfmr.data.corpora import grammar

SHARE = float(os.environ.get("TFMR_LONG_SHARE", "1"))
PAIRS = int(10_000_000 * SHARE)
CHARACTERS = int(2_000_000_000 * SHARE)

MEASURED = """
import resource, sys
from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data.corpus import prepare_corpus
prepare_corpus(eval(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def sentences():
    return grammar.sentence_pairs("train", 20_000)


def peak_megabytes(config: str) -> float:
    """Prepares a corpus in a process of its own; returns the most memory that it had."""
    command = [sys.executable, "-c", MEASURED, config]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def test_pairs(tmp_path: Path, sentences):
    draw = random.Random(0)
    files = [tmp_path / "corpus.en", tmp_path / "corpus.de"]
    with files[0].open("w", encoding="utf-8") as source, files[1].open("w", encoding="utf-8") as target:
        for _ in range(PAIRS):
            drawn = draw.choices(sentences, k=3)
            source.write(" ".join(pair[0] for pair in drawn) + "\n")
            target.write(" ".join(pair[1] for pair in drawn) + "\n")
    print(f"{PAIRS:,} pairs, {sum(file.stat().st_size for file in files) / PAIRS:.0f} bytes each")
    names = dict(source_file=str(files[0]), target_file=str(files[1]), cache=str(tmp_path / "cache"))
    peak = peak_megabytes(f"PairsConfig(corpus='text', vocab_size=8000, **{names!r})")
    print(f"{peak:.0f} MB")
    assert peak < 1500


@pytest.mark.parametrize("line_end", ["\n", "\n\n", " "])
def test_running_text(tmp_path: Path, sentences, line_end):
    draw = random.Random(0)
    file, written = tmp_path / "text.txt", 0
    with file.open("w", encoding="utf-8") as text:
        while written < CHARACTERS:
            written += text.write(" ".join(pair[1] for pair in draw.choices(sentences, k=9)) + line_end)
    names = dict(files=(str(file),), cache=str(tmp_path / "cache"))
    peak = peak_megabytes(f"RunningTextConfig(vocab_size=8000, **{names!r})")
    print(f"{written:,} characters: {peak:.0f} MB")
    assert peak < 1000
