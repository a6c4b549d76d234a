"""Every command and every block of Python in the documents is run, on small stand-ins.

A document is run from its first block to its last. Recipes are small ones of two steps, corpora have a hundred lines,
and runs that a document takes for granted are copies of one that was trained (stand_ins.py).
Training and the commands of tfmr run in this process; other programs are treated as PROGRAMS says.
"""

import io
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from documented import DOCUMENTS, REPOSITORY, Block, blocks
from packaging.requirements import Requirement
from recorded_shell import Call, RecordedShell
from stand_ins import furnish

from tfmr import Config
from tfmr.cli import _dispatch
from tfmr.cli.config_file import parse_config
from tfmr.cli.train import main as train_main

pytestmark = pytest.mark.slow

INSTEAD = {
    # Nothing here stands outside of the folder, and no bucket is there.
    r"gs://|^/shared/": "",
    # Small stand-ins are trained for two steps.
    r"^10$": "2",
    # The compiler for TPUs takes long, and is not everywhere.
    r"^v\d[a-z]*:[\dx]+$": "cpu:8",
}
"""Words of commands that are replaced: a pattern, and what stands instead of what it matches."""

NOT_RUN = {
    "make setup": "it makes the environment that this runs in",
    "make check": "it runs this test",
    "make test-long": "takes minutes; it is run by hand",
    "make docs": "a step of .ci/run",
    "make notebooks": "takes minutes; tests/test_notebooks.py runs them",
}
"""Targets that are only looked up, and why."""


LANGUAGE_MODEL = "python train.py configs/shakespeare_char_cpu.py --data.files input.txt"


class World:
    """The folder in which commands are typed, and what has been typed there."""

    def __init__(self, folder: Path):
        """Furnishes the folder and trains the run that others are copies of."""
        self.folder = folder
        furnish(folder)
        self.shell = RecordedShell(folder, tuple(PROGRAMS))
        self.typed: set[str] = set()
        self.exports = ""
        self.type("python train.py configs/demo.py")

    def type(self, command: str) -> None:
        """Runs a command line, each once."""
        command = command.replace(".venv/bin/", "")
        if command.startswith("export "):  # holds for what is typed after it
            self.exports += f"{command}; "
        elif command not in self.typed:
            self.typed.add(command)
            for call in self.shell.run(self.exports + command):
                PROGRAMS[call.program](self, call)

    def provide_runs(self, text: str) -> None:
        """Makes the runs that a text names and that are not there copies of those that were trained."""
        for name in re.findall(r"runs/\w+", text):
            if not (self.folder / name).exists():
                if "shakespeare" in name:
                    self.type(LANGUAGE_MODEL)
                trained = "shakespeare_char_cpu" if "shakespeare" in name else "demo"
                shutil.copytree(self.folder / "runs" / trained, self.folder / name, dirs_exist_ok=True)


def tfmr(world: World, call: Call) -> None:
    """Runs a command of tfmr. One that only looks at a recipe is given the real one."""
    words = [_replaced(word) for word in call.words]
    name = words[0]
    if name == "inspect":
        words = [str(REPOSITORY / word) if word.startswith("configs/") else word for word in words]
    if "ctranslate2" in words and not _installed("ctranslate2"):
        return  # tests/interop/test_live.py exports where it is installed
    if "--data.dir" in words:  # in place of the stand-in's files
        words += ["--data.source-file", "", "--data.target-file", ""]
    if name in ("export", "import", "merge"):  # the target must be new
        shutil.rmtree(words[2] if name != "export" else words[words.index("--output") + 1], ignore_errors=True)
    world.provide_runs(" ".join(words[1:2] if name in ("import", "merge") else words))
    given = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(call.text.encode()), encoding="utf-8")
    try:
        _dispatch(words)
    finally:
        sys.stdin = given


def python(world: World, call: Call) -> None:
    """Trains by train.py; of tests and scripts it is looked up whether they are there."""
    script, *words = call.words[1:] if call.words[0] == "-m" else call.words
    if script == "pytest":
        assert all((REPOSITORY / word).is_file() for word in words), words
        return
    if script != "train.py":
        assert (REPOSITORY / script).is_file(), script
        return
    if "--help" in words:
        with pytest.raises(SystemExit) as exit_:
            train_main(words)
        assert exit_.value.code == 0
        return
    _train([_replaced(word) for word in words])


def _train(words: list[str]) -> None:
    """Trains; as one process of one, since others are not here (tests/training/test_many_hosts.py has two)."""
    for option in ("coordinator-address", "num-processes", "process-id"):
        if f"--distributed.{option}" in words:
            place = words.index(f"--distributed.{option}")
            del words[place : place + 2]
    if "--data.dir" in words:  # in place of the stand-in's files
        words += ["--data.source-file", "", "--data.target-file", ""]
    config = parse_config(words, "python train.py")
    shutil.rmtree(config.workdir, ignore_errors=True)
    train_main(words)


def _replaced(word: str) -> str:
    for pattern, instead in INSTEAD.items():
        word = re.sub(pattern, instead, word)
    return word


def make(world: World, call: Call) -> None:
    """Runs the recipe of a target, but for those of NOT_RUN; these must exist."""
    (target,) = call.words
    done = subprocess.run(
        ["make", "-n", "--no-print-directory", "-o", ".venv/ready", target],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    if f"make {target}" not in NOT_RUN and target != "test":
        for line in done.stdout.splitlines():
            world.type(line)


def pip(world: World, call: Call) -> None:
    """Looks up the extras of tfmr that are asked for. There is no network."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    command, *words = call.words
    assert command == "install"
    for word in words:
        name = re.sub(r"^\.(?=\[|$)", "tfmr", word)
        if name != "-e":
            asked = Requirement(name)
            assert asked.name != "tfmr" or asked.extras <= set(extras), word


def gcloud(world: World, call: Call) -> None:
    """Understands what launch/tpu.sh starts on the workers of a TPU. There is none."""
    script = call.words[call.words.index("--command") + 1]
    for command in re.findall(r"python train\.py (.*)", script):
        parse_config(command.split(), "python train.py")


def srun(world: World, call: Call) -> None:
    """Understands what launch/slurm.sbatch starts. There is no cluster."""
    words = call.words[call.words.index("train.py") + 1 :]
    parse_config(words, "python train.py")


def sbatch(world: World, call: Call) -> None:
    """Runs the script that a cluster would."""
    script = next(word for word in call.words if word.endswith(".sbatch"))
    words = call.words[call.words.index(script) :]
    world.type(" ".join(["bash", *words]))


def kubectl(world: World, call: Call) -> None:
    """Reads what is applied. There is no cluster."""
    assert yaml.safe_load(call.text)["kind"] == "JobSet"
    assert "BUCKET" not in call.text.split("spec:", 1)[1]


def docker(world: World, call: Call) -> None:
    """Looks up the file that an image is built from. There is no docker."""
    if call.words[0] == "build":
        assert (REPOSITORY / call.words[call.words.index("-f") + 1]).is_file()


def jupyter(world: World, call: Call) -> None:
    """Looks up the folder that is opened. There is no browser."""
    assert (REPOSITORY / call.words[-1]).is_dir()


PROGRAMS: dict[str, Callable[[World, Call], None]] = {
    program.__name__: program for program in (tfmr, python, make, pip, gcloud, srun, sbatch, kubectl, docker, jupyter)
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The folder in which all documents are run."""
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield World(folder)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_all_that_a_document_tells_to_type_runs(file: Path, world: World):
    for block in blocks(file):
        try:
            run_block(world, block)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block.place}: {block.text}") from error


def run_block(world: World, block: Block) -> None:
    """Runs a command line, or a block of Python, in which a recipe is called."""
    if block.kind == "shell":
        world.type(block.text)
        return
    for package in re.findall(r"^(?:import|from) (torch|transformers|ctranslate2)\b", block.text, re.MULTILINE):
        if not _installed(package):  # tests/interop/test_live.py runs the blocks where they are
            return
    world.provide_runs(block.text)
    names: dict = {}
    exec(compile(block.text, block.place, "exec"), names)
    if "get_config" in names:
        assert isinstance(names["get_config"](), Config)


def _installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True
