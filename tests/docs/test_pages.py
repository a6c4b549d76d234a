"""What pages say of files, names, figures and pictures holds."""

import ast
import re
import runpy
import shlex
from pathlib import Path

import pytest
from documented import DOCUMENTS, REPOSITORY

from tfmr.cli import _dispatch

DOCS = REPOSITORY / "docs"


def rows(file: Path, columns: int) -> list[list[str]]:
    """Returns the cells of all tables of a page that have so many columns, without heads."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("|---")]
    return [row for row in cells if len(row) == columns]


def defined(file: Path) -> set[str]:
    """Returns the names that a module defines itself."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def methods(file: Path, name: str) -> set[str]:
    """Returns the methods that a class of a module defines itself."""
    classes = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {item.name for node in classes if node.name == name for item in node.body if hasattr(item, "name")}


SECTIONS = [row for row in rows(DOCS / "paper.md", 4) if row[2].startswith("`tfmr/")]


@pytest.mark.parametrize("row", SECTIONS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_section_of_the_paper_is_where_the_page_says(row: list[str]):
    file, names = REPOSITORY / row[2].strip("`"), re.findall(r"`(\w+)`", row[3])
    assert names
    assert set(names) <= defined(file)


def test_every_section_of_the_paper_has_its_files():
    told = {section for row in SECTIONS for section in re.findall(r"\d(?:\.\d)+|\b4\b|table \d|appendix", row[0])}
    attention, training, results = ("3.2.1", "3.2.2", "3.2.3"), ("5.1", "5.2", "5.3", "5.4"), ("6.1", "6.2")
    tables = ("table 1", "table 2", "table 3")
    assert told >= {"3.1", *attention, "3.3", "3.4", "3.5", "4", *training, *results, *tables, "appendix"}


def test_a_file_that_is_named_anywhere_is_there():
    texts = [file.read_text(encoding="utf-8") for file in DOCUMENTS]
    texts += [(DOCS / "pictures" / name).read_text() for name in ("folders.svg", "text_to_loss.svg")]
    named = {name for text in texts for name in re.findall(r"\b(?:tfmr|tests|configs|launch)/[\w./]*\w\.\w+", text)}
    assert len(named) > 40
    assert sorted(name for name in named if not (REPOSITORY / name).exists()) == []


def test_a_function_that_is_named_with_its_file_exists():
    text = "".join(file.read_text(encoding="utf-8") for file in DOCUMENTS)
    named = set(re.findall(r"`(\w[\w/]*\.py):(\w+)(?:\.(\w+))?`", text))
    assert len(named) > 30
    missing = [
        f"{file}:{name}.{method}".rstrip(".")
        for file, name, method in sorted(named)
        if name not in defined(REPOSITORY / file) or (method and method not in methods(REPOSITORY / file, name))
    ]
    assert missing == []


def test_links_between_the_files_of_the_repository_lead_somewhere():
    for file in (REPOSITORY / "README.md", REPOSITORY / "RESULTS.md", REPOSITORY / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", file.read_text(encoding="utf-8")):
            assert (file.parent / link).exists(), link


COUNTS = [row for row in rows(DOCS / "paper.md", 3) if row[2].startswith("`tfmr inspect")]


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: row[0])
def test_parameters_are_counted_as_the_page_says(row: list[str], capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    _dispatch(shlex.split(row[2].strip("`"))[1:])
    number = re.match(r"[\d ]+", row[1])[0].strip().replace(" ", ",")
    assert len(number) > 9
    assert number in capsys.readouterr().out


def figures(text: str) -> set[str]:
    """Returns the decimal numbers of a text."""
    return set(re.findall(r"\d+\.\d+", text))


def test_the_figures_of_the_readme_are_those_of_the_results():
    readme, results = ((REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "RESULTS.md"))
    section = readme.split("## Results")[1].split("\n## ")[0]
    assert len(figures(section)) > 6
    assert figures(section) <= figures(results)


def test_the_drawn_pictures_are_what_their_script_draws(tmp_path: Path):
    runpy.run_path(str(DOCS / "pictures" / "draw_architecture.py"))["main"](str(tmp_path))
    drawn = sorted(tmp_path.glob("*.svg"))
    assert [file.name for file in drawn] == ["folders.svg", "text_to_loss.svg"]
    for file in drawn:
        assert file.read_text() == (DOCS / "pictures" / file.name).read_text(), "run the script again"


def test_the_pictures_are_small():
    assert all(file.stat().st_size < 300_000 for file in (DOCS / "pictures").iterdir())
