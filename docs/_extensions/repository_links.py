"""Rewrites links in included files such as RESULTS.md so that they point to pages of this site."""

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = {
    "RESULTS.md": "results.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Files of the repository, and the page that includes each."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the handler for included files."""
    app.connect("include-read", _link_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _link_to_pages(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    """Makes links relative to the page instead of the included file."""
    repository = Path(app.srcdir).parent
    folder = os.path.dirname(os.path.relpath(os.path.join(app.srcdir, path), repository))

    def replace(link: re.Match) -> str:
        target = os.path.normpath(os.path.join(folder, link["path"]))
        page = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({os.path.relpath(page, os.path.dirname(docname) or '.')}{link['anchor'] or ''})"

    content[0] = re.sub(r"\]\((?!https?:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)", replace, content[0])
