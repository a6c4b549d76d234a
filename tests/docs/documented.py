"""What the documents tell to type: their blocks of commands and of Python, in order."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(REPOSITORY / name for name in ("README.md", "RESULTS.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]


class Block(NamedTuple):
    """Something to type, and where it stands."""

    kind: str
    """shell: one command line; python: a whole block."""
    text: str
    place: str
    """The file's name and the line's number."""


def blocks(file: Path) -> Iterator[Block]:
    """Yields the blocks of a document; each command line by itself, with what it continues on joined to it."""
    for token in MarkdownIt().parse(file.read_text(encoding="utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence" and token.info == "python":
            yield Block("python", token.content, f"{file.name}:{line}")
        elif token.type == "code_block" or (token.type == "fence" and token.info in ("", "sh", "bash", "shell")):
            for command in re.sub(r"\\\n\s*", "", token.content).splitlines():
                if command.strip():
                    yield Block("shell", command.strip(), f"{file.name}:{line}")


def inline_code(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields what stands between backticks within a line; beside it the options that its row of a table names alone."""
    outside = re.sub(
        r"^```.*?^```|^(?: {4}|\t).*?$", "", file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    paragraphs = re.sub(r"\n(?=[^|\n-])", " ", outside)  # a command may go on in the next line
    for line in paragraphs.split("\n"):
        codes = re.findall(r"`([^`]+)`", line)
        options = [code for code in codes if code.startswith("--")] if line.startswith("|") else []
        yield from ((re.sub(r"\s+", " ", code), options) for code in codes)
