"""COMET, by a program that stands for comet-score: it checks its options and files, and prints what that prints."""

import re
import sys

import pytest

from tfmr.errors import InputError
from tfmr.translation.comet import check_comet, comet_score

PROGRAM = """#!{python}
import sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lines = [open(options[name], encoding="utf-8").read().split("\\n") for name in ("-s", "-t", "-r")]
assert [len(side) for side in lines] == [3, 3, 3], lines
assert options["--gpus"] == "0"
if options["--model"] != "some/model":
    sys.exit("KeyError: no such model")
same = sum(a == b for a, b in zip(lines[1], lines[2])) - 1
print(f"{{options['-t']}}\\tscore: {{same / 2:.4f}}")
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    file = tmp_path / "comet-score"
    file.write_text(PROGRAM.format(python=sys.executable))
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_score_is_that_of_the_program(program):
    assert comet_score("some/model", ["a", "b"], ["ä\rb", "x"], ["ä b", "y"]) == 0.5


def test_a_failure_is_one_line(program):
    with pytest.raises(InputError, match=re.escape("comet-score failed (KeyError: no such model); check the name")):
        comet_score("another", ["a", "b"], ["a", "b"], ["a", "b"])


def test_a_missing_program_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="--comet = 'some/model': needs the program comet-score, which is not install"):
        check_comet("some/model")
