"""What the documents tell to type works."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tfmr.cli import COMMANDS, command_module
from tfmr.cli.arguments import parse, split_options
from tfmr.cli.config_file import parse_config
from tfmr.errors import InputError

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
    if '"mine.' in block:
        pytest.skip("needs an exported model: tests/interop/test_live.py runs it")
    exec(compile(block, "block", "exec"), {})


@pytest.mark.parametrize("arguments", list(commands("python train.py")))
def test_a_training_command_is_understood(arguments, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    arguments = [word for word in arguments if word != "--help"]
    config = parse_config(arguments, "python train.py")
    assert "--workdir" not in arguments or config.workdir == arguments[arguments.index("--workdir") + 1]


def tfmr_commands():
    """The names and arguments of all that is shown as `tfmr COMMAND ...`; a table names options beside the command."""
    for file in [*DOCUMENTS, REPOSITORY / "RESULTS.md", REPOSITORY / "Makefile"]:
        text = re.sub(r"\\\n\s*", "", re.sub(r"```python\n.*?```", "", file.read_text(), flags=re.DOTALL))
        found = re.findall(r"^(?: {4}|\t)(?:.*[\s/])?(tfmr [a-z]+ .*)", text, re.MULTILINE)
        for line in text.split("\n"):
            codes = re.findall(r"`([^`]+)`", line)
            options = [code for code in codes if code.startswith("--")] if line.startswith("|") else []
            found += [" ".join([code, *options]) for code in codes if re.match(r"tfmr [a-z]+ ", code)]
        for number, command in enumerate(found):
            _, name, *arguments = words_of(command)
            yield pytest.param(name, arguments, id=f"{file.name}-{number}-{name}")


def words_of(command):
    """The words of a command line, up to a pipe or the like."""
    reader = shlex.shlex(command, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words = list(reader)
    return words[: next((i for i, word in enumerate(words) if set(word) <= set("|<>;&()")), len(words))]


@pytest.mark.parametrize(("name", "arguments"), list(tfmr_commands()))
def test_a_command_is_understood(name, arguments, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert name in COMMANDS
    command = command_module(name)
    if hasattr(command, "Arguments"):
        parse(command.Arguments, arguments, prog=name)
        return
    # What are not options of its own are those of a config.
    options = getattr(command, "Options", None)
    own, (config, *rest) = split_options(options, arguments) if options else ([], arguments)
    if options:
        parse(options, own, prog=name)
    parse_config([config.replace("CONFIG", "configs/demo.py"), *rest], name)


def test_the_commands_of_the_readme_are_all_and_a_wrong_one_is_found():
    shown = {param.values[0] for param in tfmr_commands()}
    assert shown == set(COMMANDS)
    with pytest.raises(InputError, match="unknown option --chop"):
        test_a_command_is_understood("inspect", ["CONFIG", "--chop", "v5e"], pytest.MonkeyPatch())


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
