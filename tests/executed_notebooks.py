"""Runs notebooks as a reader would: in a fresh kernel, in an empty folder, with the tfmr of this repository.

As a script (`make notebooks`), it writes the outputs into the notebooks.
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
# The same on every machine and in every run.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MOST_CPU_SECONDS = 120
LONGEST_CELL = 1800
"""Seconds after which a cell counts as stuck. The machine may be busy, so this is generous."""
NOT_OURS = ("NPROC", "XLA_", "JAX_", "TF_", "PYTEST_", "TFMR_")
"""Prefixes of environment variables that a test session sets for itself and a reader does not."""


def execute(notebook: nbformat.NotebookNode, xla_flags: str = "") -> float:
    """Runs all cells, replaces their outputs in place, and returns the CPU seconds that the kernel took.

    Args:
      notebook: the notebook, which is modified.
      xla_flags: flags for XLA; a reader sets none.

    Raises:
      CellExecutionError: if a cell fails; the cells after it do not run.
    """
    with tempfile.TemporaryDirectory(prefix="nb") as folder:
        work = Path(folder, "work")
        work.mkdir()
        # The kernel of this Python, whatever others are installed. Sockets, so that no other process can take a port.
        kernels = KernelSpecManager(kernel_dirs=[])
        manager = AsyncKernelManager(kernel_spec_manager=kernels, transport="ipc", ip=f"{folder}/k")
        clock = nbformat.v4.new_code_cell("import time; print(time.process_time())")
        timed = nbformat.v4.new_notebook(cells=[*notebook.cells, clock])
        patience = dict(timeout=LONGEST_CELL, startup_timeout=LONGEST_CELL)
        client = NotebookClient(timed, manager, record_timing=False, coalesce_streams=True, **patience)
        # Without cleanup_kc, the client would leave a kernel running that it did not create itself.
        with client.setup_kernel(env=_environment(folder, xla_flags), cwd=str(work), cleanup_kc=True):
            for number, cell in enumerate(timed.cells):
                client.execute_cell(cell, number)
        left = [path.name for path in work.iterdir()]
        assert not left, f"leaves {left} in the working directory: write to a folder from tempfile"
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return float(clock.outputs[0]["text"])


def _environment(folder: str, xla_flags: str) -> dict[str, str]:
    """Returns the environment of the kernel, with temporary files and caches in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    for name in ("tmp", "cache", "ipython"):
        Path(folder, name).mkdir()
    # XLA warns about compilations that take minutes. On a busy machine that says nothing about the notebook.
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
            sys.exit(f"{path.name}: took more than {MOST_CPU_SECONDS} CPU seconds; shorten it")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or NOTEBOOKS)
