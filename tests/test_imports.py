"""Imports run one way, and `tfmr.nn` needs only jax, flax, jaxtyping and NumPy."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tfmr"

# What each part may import of the others, besides itself and `errors`.
BLOCKS = {"config", "nn", "models"}
WORK = {"data", "search", "runs", "training"} | BLOCKS
TASKS = {"translation", "language_model"} | WORK
ALLOWED = {
    # The package itself exports the configurations only, so that `import tfmr` is quick.
    "tfmr": {"config"},
    "errors": set(),
    "config": set(),
    "nn": set(),
    "models": {"config", "nn"},
    "data": {"config"},
    "search": {"data"} | BLOCKS,
    "runs": {"data"} | BLOCKS,
    "training": {"data", "search", "runs"} | BLOCKS,
    "translation": WORK,
    "language_model": WORK,
    "interop": {"analysis"} | TASKS,
    "analysis": TASKS,
    "serving": {"interop", "analysis"} | TASKS,
    "cli": {"serving", "interop", "analysis"} | TASKS,
}


def part_of(path: Path) -> str:
    """Returns the part a file belongs to: its folder or its own name below tfmr/."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "tfmr" if parts == ("__init__",) else parts[0]


def imported_modules(path: Path):
    """Yields every module that a file imports, wherever the import stands, with its line."""
    folders = ["tfmr", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folders[: len(folders) + 1 - node.level] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            # `from tfmr import nn` imports the part nn; `from tfmr.nn import LayerNorm` no more than tfmr.nn.
            names = [f"tfmr.{alias.name}" for alias in node.names] if module == "tfmr" else [module]
            yield from ((name, node.lineno) for name in names)


def violations(path: Path) -> list[str]:
    """Returns a line for each import in the file that runs against the order."""
    part, found = part_of(path), []
    for module, line in imported_modules(path):
        top, *rest = module.split(".")
        where = f"{path.name}:{line} imports {module}"
        if top == "tfmr":
            known = rest and rest[0] in ALLOWED
            if known and rest[0] not in {part, "errors"} | ALLOWED[part]:
                found.append(where)
        elif part == "data" and top in ("jax", "jaxlib", "flax", "optax", "orbax"):
            found.append(f"{where}: data is numpy only")
        elif part == "nn" and top not in ("jax", "flax", "jaxtyping", "numpy", *sys.stdlib_module_names):
            found.append(f"{where}: nn needs only jax, flax, jaxtyping and NumPy")
        elif part in ("config", "errors") and top not in sys.stdlib_module_names:
            found.append(f"{where}: the standard library only")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    assert part_of(path) in ALLOWED, f"say in ALLOWED what {part_of(path)} may import"
    assert violations(path) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nn/x.py", "from tfmr.models import Transformer"),
        ("nn/x.py", "def f():\n    import optax"),
        ("models/x.py", "from tfmr import search"),
        ("models/x.py", "from ..training import fit"),
        ("training/x.py", "from tfmr.translation import Translator"),
        ("data/corpora/x.py", "def f():\n    import jax.numpy as jnp"),
        ("data/corpora/x.py", "from ...models import Transformer"),
        ("analysis/x.py", "import tfmr.interop.marian"),
        ("search/x.py", "from tfmr.runs.checkpoints import Checkpointer"),
        ("config.py", "import numpy"),
    ],
)
def test_an_import_against_the_order_is_found(file, text, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert len(violations(tmp_path / file)) == 1


def file_of(module: str) -> Path | None:
    """Returns the file of a module of the package; None if it is a name in one."""
    base = PACKAGE.parent / module.replace(".", "/")
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def imported_files(path: Path) -> set[Path]:
    """Returns the files of the package that a file imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {file_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {file_of(f"{node.module}.{alias.name}") or file_of(node.module) for alias in node.names}
    return {file for file in found if file is not None} - {PACKAGE / "__init__.py"}


def test_no_file_imports_itself_by_way_of_others():
    graph = {path: imported_files(path) for path in PACKAGE.rglob("*.py")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(str(path.relative_to(PACKAGE)) for path in error.args[1]))


def modules_after(statement: str) -> set[str]:
    """Returns the top-level packages that a fresh interpreter holds after a statement."""
    program = (
        f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_the_blocks_pull_in_jax_and_flax_only():
    stack = modules_after("import jax, flax.linen, flax.struct, jaxtyping, dataclasses, difflib")
    blocks = modules_after("import tfmr.nn")
    new = {
        name for name in blocks - stack if name not in sys.stdlib_module_names and not name.startswith("__editable__")
    }
    assert new == {"tfmr"}


def test_preparing_needs_no_jax():
    modules = (
        "tfmr.cli.prepare, tfmr.data.prepare, tfmr.data.running_text, tfmr.data.pair_report, tfmr.data.text_report"
    )
    assert not {"jax", "flax"} & modules_after(f"import {modules}")


def test_the_package_alone_pulls_in_the_standard_library_only():
    new = modules_after("import tfmr") - modules_after("pass")
    assert {name for name in new if name not in sys.stdlib_module_names} == {"tfmr"}
