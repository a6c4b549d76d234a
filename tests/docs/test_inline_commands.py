"""Commands that stand within a sentence or a table are understood, and so are the scripts and files for launching.

They have placeholders such as RUN, and a table names options beside the command, so they are parsed, not run; what
stands in blocks is run by test_documented_commands.py.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from documented import DOCUMENTS, REPOSITORY, inline_code

from tfmr import Config
from tfmr.cli import COMMANDS, command_module
from tfmr.cli.arguments import parse, split_options
from tfmr.cli.config_file import load_config, parse_config
from tfmr.errors import InputError


def inline_commands() -> Iterator:
    """Yields the name and arguments of each `tfmr COMMAND ...` within a line, with the options of its row."""
    for file in DOCUMENTS:
        for number, (code, beside) in enumerate(inline_code(file)):
            if re.match(r"tfmr [a-z]+ ", code):
                _, name, *arguments = shlex.split(" ".join([code, *beside]))
                yield pytest.param(name, arguments, id=f"{file.name}-{number}-{name}")


@pytest.mark.parametrize(("name", "arguments"), list(inline_commands()))
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


def test_all_commands_are_shown_and_a_wrong_one_is_found():
    shown = {param.values[0] for param in inline_commands()}
    assert shown == set(COMMANDS)
    with pytest.raises(InputError, match="unknown option --chop"):
        test_a_command_is_understood("inspect", ["CONFIG", "--chop", "v5e"], pytest.MonkeyPatch())


def test_an_option_of_a_section_is_one(monkeypatch):
    found = {code for file in DOCUMENTS for code, _ in inline_code(file)}
    options = sorted({match[1] for code in found if (match := re.match(r"--([\w-]+\.[\w-]+)", code))})
    monkeypatch.chdir(REPOSITORY)
    configs = [load_config(f"configs/{name}.py") for name in ("demo", "shakespeare_char_cpu")]
    assert len(options) > 25
    assert [option for option in options if not any(_has(config, option) for config in configs)] == []


def _has(config: Config, option: str) -> bool:
    """Whether a configuration has the field that an option names; `section.no-field` says no to one."""
    section, name = option.replace("-", "_").split(".")
    known = vars(getattr(config, section, None) or {"section": 0}) if section != "section" else {"field": 0}
    return name in known or name.removeprefix("no_") in known


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
