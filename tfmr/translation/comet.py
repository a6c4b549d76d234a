"""COMET, a learned score of translations (Rei et al. 2020), computed by the program `comet-score`.

Its package, unbabel-comet, requires NumPy 1 and cannot be installed beside tfmr, so the program runs in an environment
of its own.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfmr.errors import InputError

_PROGRAM = "comet-score"


def check_comet(model: str) -> None:
    """Raises InputError if the program that scores with a model is not installed."""
    if shutil.which(_PROGRAM) is None:
        raise InputError(
            f"--comet = {model!r}: needs the program {_PROGRAM}, which is not installed; install unbabel-comet in an "
            "environment of its own: pipx install unbabel-comet"
        )


def comet_score(model: str, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> float:
    """Returns the score of translations, computed on the CPU; for most models it is from 0 to 1.

    Args:
      model: the name of a model, which the program downloads on first use, or the path of its checkpoint.
      sources, translations, references: lines.

    Raises:
      InputError: if the program is not installed or fails.
    """
    check_comet(model)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, lines in (("sources", sources), ("translations", translations), ("references", references)):
            files.append(str(Path(folder) / name))
            # The program also ends a line at a carriage return.
            Path(files[-1]).write_text("".join(line.replace("\r", " ") + "\n" for line in lines), encoding="utf-8")
        options = [word for pair in zip(("-s", "-t", "-r"), files, strict=True) for word in pair]
        command = [_PROGRAM, *options, "--model", model, "--gpus", "0", "--only_system", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    found = re.findall(r"score: (-?[\d.]+)", done.stdout)
    if done.returncode != 0 or not found:
        lines = done.stderr.strip().splitlines() or ["it printed no score"]
        raise InputError(f"--comet = {model!r}: {_PROGRAM} failed ({lines[-1]}); check the name of the model")
    return float(found[-1])
