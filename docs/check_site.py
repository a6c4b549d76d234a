"""Checks a built site for dead links, dead anchors, missing images, and public names that no page documents.

    python docs/check_site.py build/docs

External links are listed but not followed.
"""

import importlib
import pkgutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

REFERENCES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src", "object": "data"}
"""Elements that refer to other files, and the attribute that does so."""


class Page(HTMLParser):
    """The references and anchors of an HTML file."""

    def __init__(self, text: str):
        super().__init__()
        self.references: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if REFERENCES.get(tag) in values:
            self.references.append(values[REFERENCES[tag]])


def read_pages(site: Path) -> dict[Path, Page]:
    """Returns the pages of a site by file."""
    return {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}


def dead_references(pages: dict[Path, Page]) -> list[str]:
    """Returns one line for each reference to a missing file or a missing anchor."""
    found = []
    for file, page in pages.items():
        for reference in dict.fromkeys(page.references):
            url = urlsplit(reference)
            if url.scheme or url.netloc:
                continue
            target = (file.parent / unquote(url.path)).resolve() if url.path else file
            if not target.is_file():
                found.append(f"{file.name}: {reference}: no such file")
            elif target in pages and unquote(url.fragment) not in pages[target].anchors:
                found.append(f"{file.name}: {reference}: no such anchor")
    return found


def other_sites(pages: dict[Path, Page]) -> list[str]:
    """Returns the external links."""
    links = {reference for page in pages.values() for reference in page.references}
    return sorted(link for link in links if urlsplit(link).scheme in ("http", "https"))


def public_names() -> list[str]:
    """Returns the names in `__all__` of tfmr and its packages, except the version."""
    import tfmr

    packages = ["tfmr", *(info.name for info in pkgutil.walk_packages(tfmr.__path__, "tfmr.") if info.ispkg)]
    modules = [importlib.import_module(package) for package in packages]
    names = [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", [])]
    return [name for name in names if name != "tfmr.__version__"]


def left_out(pages: dict[Path, Page], names: list[str]) -> list[str]:
    """Returns one line for each name that no page documents."""
    described = {anchor.rpartition(".")[2] for page in pages.values() for anchor in page.anchors if "." in anchor}
    return [f"{name}: is public, but no API page documents it" for name in names if _last(name) not in described]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def main(site: str) -> None:
    """Prints what is wrong; exits with status 1 if anything is."""
    pages = read_pages(Path(site))
    wrong = [*dead_references(pages), *left_out(pages, public_names())] if pages else [f"{site}: contains no page"]
    print(f"{len(pages)} pages; external links, not followed:", *other_sites(pages), sep="\n  ")
    print(*wrong, sep="\n", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
