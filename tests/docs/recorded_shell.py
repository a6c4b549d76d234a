"""A command line run by a real shell in which some programs only write down how they were called."""

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

RECORDER = """#!/bin/sh
call="$RECORDED_CALLS/$(date +%s%N)"
mkdir "$call"
printf '%s\\n' "$(basename "$0")" > "$call/program"
for word in "$@"; do printf '%s\\0' "$word"; done > "$call/words"
cat > "$call/input"
"""


class Call(NamedTuple):
    """How a program was called."""

    program: str
    words: list[str]
    """Its arguments."""
    text: str
    """What it was given on standard input."""


class RecordedShell:
    """Runs command lines in a folder; of `programs` it only learns how they are called."""

    def __init__(self, folder: Path, programs: tuple[str, ...]):
        """Makes the recorders, on the path and as those of the folder's virtual environment."""
        self.folder = folder
        self.bin = folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        self.calls = folder / "calls"
        self.calls.mkdir()
        for program in programs:
            (self.bin / program).write_text(RECORDER)
            (self.bin / program).chmod(0o755)
        (self.bin / "activate").touch()  # `source .venv/bin/activate`; the path has the recorders already

    def run(self, command: str) -> list[Call]:
        """Runs a command line and returns the calls in order; fails if the shell or a real program does."""
        calls = Path(tempfile.mkdtemp(dir=self.calls))
        path = f"{self.bin}:/usr/bin:/bin"
        environment = {"PATH": path, "RECORDED_CALLS": str(calls), "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        script = ["bash", "-eu", "-c", command]
        done = subprocess.run(
            script,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stderr}"
        return [_read(call) for call in sorted(calls.iterdir())]


def _read(call: Path) -> Call:
    words = (call / "words").read_text(encoding="utf-8").split("\0")[:-1]
    return Call((call / "program").read_text().strip(), words, (call / "input").read_text(encoding="utf-8"))
