"""Every notebook runs, and is committed as executed: in order, with its pictures, and without traces of the machine."""

import ast
import os
import re

import nbformat
import pytest
from executed_notebooks import METADATA, NOTEBOOKS, REPOSITORY, execute
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.slow

MOST_BYTES = 700_000
LITTLE_COMPUTED = ("01_attention", "02_the_transformer")
"""Notebooks that mostly compile. The test compiles their programs without optimisation, like those of other tests."""
OF_A_MACHINE = re.compile(r"(?<![\w.:/<])/[\w.-]+/\S+|\b[A-Z]:\\\S+| at 0x[0-9a-f]{6,}")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def faults_of_outputs(cell):
    """Yields what is wrong with the outputs of a cell."""
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"an error: {output.ename}: {output.evalue}"
        if output.get("name") == "stderr":
            yield f"a warning: {output.text}"
        text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
        if re.match(r"<?Figure\b", text) and "image/png" not in output.get("data", {}):
            yield "a picture is not shown: start the notebook with %matplotlib inline"
        yield from (f"a path of this machine: {found}" for found in OF_A_MACHINE.findall(text))


def faults_of_imports(source):
    """Yields imports of private things: names with an underscore, and modules inside tfmr.nn and the other packages.

    The modules of tfmr.data are public, because tfmr.data itself exports nothing.
    """
    python = "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.split("\n"))
    for node in ast.walk(ast.parse(python)):
        modules, names = [], []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules, names = [node.module or ""], [alias.name for alias in node.names]
        deep = [m for m in modules if m.startswith("tfmr.") and m.count(".") > 1 and not m.startswith("tfmr.data.")]
        private = [name for name in names if name.startswith("_") and modules[0].startswith("tfmr")]
        yield from (f"imports a private name: {name}" for name in deep + private)


def faults(notebook):
    """Returns everything that is wrong with a notebook as it would be committed."""
    found = []
    cells = code_cells(notebook)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("was not executed from top to bottom")
    for number, cell in enumerate(cells, 1):
        parts = [*faults_of_outputs(cell), *faults_of_imports(cell.source)]
        found += [f"cell {number}: {part}" for part in parts]
        before = notebook.cells[notebook.cells.index(cell) - 1]
        if before is cell or before.cell_type != "markdown":
            found.append(f"cell {number}: has no prose before it")
    for cell in notebook.cells:
        found += [f"a path of this machine: {path}" for path in OF_A_MACHINE.findall(cell.source)]
        if cell.metadata:
            found.append(f"metadata of a cell: {dict(cell.metadata)}")
    if not any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs):
        found.append("has no picture")
    if notebook.metadata != METADATA:
        found.append(f"metadata: {dict(notebook.metadata)}")
    return found


class NotebookTests:
    """The tests of one notebook. xdist assigns whole classes to workers, so the workers share the notebooks."""

    path = REPOSITORY

    # This test comes first: a worker with three tests of a class still to run is not given its next class.
    def test_it_runs(self):
        notebook = nbformat.read(self.path, as_version=4)
        quick = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
        execute(notebook, " ".join(quick) if self.path.stem in LITTLE_COMPUTED else "")
        assert faults(notebook) == []

    def test_it_is_committed_as_it_ran(self):
        notebook = nbformat.read(self.path, as_version=4)
        nbformat.validate(notebook)
        assert faults(notebook) == [], "run: make notebooks"

    def test_it_is_not_large(self):
        assert self.path.stat().st_size <= MOST_BYTES


for _path in NOTEBOOKS:
    _name = f"Test_{_path.stem}"
    globals()[_name] = type(_name, (NotebookTests,), {"path": _path, "__module__": __name__})


def notebook_of(*sources):
    """Returns a notebook with some code, after prose and a picture."""
    drawn = "%matplotlib inline\nfrom matplotlib.figure import Figure\nFigure((1, 1)).subplots().figure"
    pairs = [(nbformat.v4.new_markdown_cell("Some prose."), nbformat.v4.new_code_cell(c)) for c in (drawn, *sources)]
    return nbformat.v4.new_notebook(cells=[cell for pair in pairs for cell in pair])


@pytest.fixture(scope="module")
def plain():
    """An executed notebook with a few faulty cells."""
    what = "import os, sys, jax, tfmr\nprint(tfmr.__file__, jax.device_count(), os.environ.get('XLA_FLAGS'))"
    # The kernel reads from below in a thread, which may take a moment on a busy machine.
    below = "import time\nos.write(2, b'from below')\ntime.sleep(1)"
    notebook = notebook_of(what, "print(sys.executable, tfmr.__file__)", below, "Figure((1, 1))")
    execute(notebook)
    return notebook


def test_a_notebook_has_our_package_and_a_readers_environment(plain):
    assert code_cells(plain)[1].outputs[0].text.split() == [str(REPOSITORY / "tfmr/__init__.py"), "1", "None"]


def test_what_must_not_be_committed_is_found(plain):
    notebook = nbformat.from_dict(plain)
    stated = "\n".join(faults(notebook))
    assert "cell 3: a path of this machine: /" in stated
    assert "cell 4: a warning: from below" in stated
    assert "cell 5: a picture is not shown" in stated
    assert "no picture" not in stated
    assert "metadata" not in stated
    del notebook.cells[0], notebook.cells[0].outputs[0]
    notebook.cells[0].execution_count = None
    notebook.cells[0].source = "import tfmr.nn.attention\nfrom tfmr.nn import _SHORTEST, Encoder"
    stated = faults(notebook)
    for fault in ("was not executed from top to bottom", "cell 1: has no prose before it", "has no picture"):
        assert fault in stated
    assert "cell 1: imports a private name: tfmr.nn.attention" in stated
    assert "cell 1: imports a private name: _SHORTEST" in stated


def test_an_error_and_a_left_file_are_found():
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook_of("1 / 0"))
    with pytest.raises(AssertionError, match="leaves"):
        execute(notebook_of("open('left.txt', 'w').close()"))
