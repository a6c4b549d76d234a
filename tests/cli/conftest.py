"""A run directory of a few steps, for the commands that need one."""

import dataclasses
from pathlib import Path

import pytest
from commands_config import CONFIG
from tiny_run import write_recipe

from tfmr.cli.train import main as train_main


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config file and a corpus of two files."""
    folder = tmp_path_factory.mktemp("commands")
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    lines = [" ".join(words[i % 8 :] + words[: i % 7]) for i in range(60)]
    (folder / "corpus.en").write_text("".join(f"{line} {i}\n" for i, line in enumerate(lines)))
    (folder / "corpus.de").write_text("".join(f"{i} {line.upper()}\n" for i, line in enumerate(lines)))
    data = dataclasses.replace(
        CONFIG.data,
        cache=str(folder / "cache"),
        source_file=str(folder / "corpus.en"),
        target_file=str(folder / "corpus.de"),
    )
    config = dataclasses.replace(CONFIG, data=data, workdir=str(folder / "run"))
    write_recipe(folder / "tiny.py", config)
    return folder


@pytest.fixture(scope="session")
def trained(workspace: Path) -> str:
    """The run directory of a few steps."""
    train_main([str(workspace / "tiny.py")])
    return str(workspace / "run")
