"""What the documents tell to type works."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tfmr.cli.config_file import parse_config

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def python_blocks():
    for file in DOCUMENTS:
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", file.read_text(), re.DOTALL)):
            yield pytest.param(block, id=f"{file.name}-{number}")


def commands(program):
    """The command lines of the documents that start with the words of `program`."""
    for file in DOCUMENTS:
        lines = re.sub(r"\\\n\s*", "", file.read_text()).split("\n")
        found = [line.strip() for line in lines if line.startswith("    ") and line.strip().startswith(program)]
        for number, line in enumerate(found):
            yield pytest.param(shlex.split(line)[len(program.split()) :], id=f"{file.name}-{number}")


@pytest.mark.parametrize("block", list(python_blocks()))
def test_a_block_of_python_runs(block):
    if "from_run" in block:
        pytest.skip("needs a trained run: make demo runs it")
    exec(compile(block, "block", "exec"), {})


@pytest.mark.parametrize("arguments", list(commands("python train.py")))
def test_a_training_command_is_understood(arguments, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    arguments = [word for word in arguments if word != "--help"]
    config = parse_config(arguments, "python train.py")
    assert "--workdir" not in arguments or config.workdir == arguments[arguments.index("--workdir") + 1]


@pytest.mark.parametrize("script", ["tpu.sh", "slurm.sbatch"])
def test_a_script_is_one(script):
    subprocess.run(["bash", "-n", REPOSITORY / "launch" / script], check=True)


def test_what_a_pod_of_gke_runs_is_understood(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    jobs = yaml.safe_load((REPOSITORY / "launch" / "gke.yaml").read_text())["spec"]["replicatedJobs"]
    pod = jobs[0]["template"]["spec"]["template"]["spec"]
    config = parse_config(pod["containers"][0]["args"], "python train.py")
    assert config.workdir.startswith("gs://")
    # A machine a pod, four chips a machine, all chips of the slice.
    rows, columns = map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    chips = pod["containers"][0]["resources"]["limits"]["google.com/tpu"]
    assert jobs[0]["template"]["spec"]["completions"] * chips == rows * columns
