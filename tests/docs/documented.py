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
