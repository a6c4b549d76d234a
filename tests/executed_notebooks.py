"""Runs notebooks as a reader would: in a fresh kernel, in an empty folder, with this repository's tfmr.

As a script (`make notebooks`) it writes the outputs into them.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
# Nothing in it changes from one machine or run to the next.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MOST_CPU_SECONDS = 120
LONGEST_CELL = 1800
"""Seconds after which a cell counts as stuck; the machine may be busy."""
NOT_OURS = ("NPROC", "XLA_", "JAX_", "TF_", "PYTEST_", "TFMR_")
"""What a test session sets in the environment for itself. Notebooks see what a reader's would."""


def execute(notebook: nbformat.NotebookNode, xla_flags: str = "") -> float:
    """Runs all cells and puts their outputs in the place of the old ones; returns the kernel's CPU seconds.

    Args:
      notebook: is changed.
      xla_flags: how XLA compiles; a reader gives none.

    Raises:
      CellExecutionError: at the first cell that fails.
    """
    with tempfile.TemporaryDirectory(prefix="nb") as folder:
        work = Path(folder, "work")
        work.mkdir()
        # The kernel of this Python, whatever others are installed; no port that another process could take.
        kernels = KernelSpecManager(kernel_dirs=[])
        manager = AsyncKernelManager(kernel_spec_manager=kernels, transport="ipc", ip=f"{folder}/k")
        clock = nbformat.v4.new_code_cell("import time; print(time.process_time())")
        timed = nbformat.v4.new_notebook(cells=[*notebook.cells, clock])
        patience = dict(timeout=LONGEST_CELL, startup_timeout=LONGEST_CELL)
        client = NotebookClient(timed, manager, record_timing=False, coalesce_streams=True, **patience)
        # A kernel of a manager that is given would be left running.
        with client.setup_kernel(env=_environment(folder, xla_flags), cwd=str(work), cleanup_kc=True):
            for number, cell in enumerate(timed.cells):
                client.execute_cell(cell, number)
        left = [path.name for path in work.iterdir()]
        assert not left, f"leaves {left} in the reader's folder: use tempfile"
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return float(clock.outputs[0]["text"])


def _environment(folder: str, xla_flags: str) -> dict[str, str]:
    """Returns the environment of the kernel, whose temporary files and caches go to the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    for name in ("tmp", "cache", "ipython"):
        Path(folder, name).mkdir()
    # XLA tells of compiling that takes minutes: where it does, the machine is to blame and not the notebook.
    ours = dict(PYTHONPATH=str(REPOSITORY), JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
    ours |= {"XLA_FLAGS": xla_flags} if xla_flags else {}
    return kept | ours | dict(TMPDIR=f"{folder}/tmp", TFMR_CACHE=f"{folder}/cache", IPYTHONDIR=f"{folder}/ipython")


def main(paths: list[Path]) -> None:
    """Executes notebooks in place."""
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        seconds = execute(notebook)
        unfinished = path.with_suffix(".unfinished")
        nbformat.write(notebook, unfinished)
        unfinished.replace(path)
        print(f"{path.name}: {seconds:.0f} CPU seconds, {path.stat().st_size / 1000:.0f} kB", flush=True)
        if seconds > MOST_CPU_SECONDS:
            sys.exit(f"{path.name}: takes more than {MOST_CPU_SECONDS} CPU seconds: make it shorter")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or NOTEBOOKS)
