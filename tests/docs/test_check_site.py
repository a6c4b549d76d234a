"""What `make docs` looks for in the built site: dead links, dead anchors, missing pictures, names left out."""

import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "check_site.py"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two pages and a picture without a fault."""
    (tmp_path / "more").mkdir()
    (tmp_path / "a picture.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(
        '<h1 id="start">x</h1><a href="more/page.html#there">y</a><a href="#start">z</a><img src="a%20picture.png">'
    )
    (tmp_path / "more" / "page.html").write_text(
        '<a href="../index.html">x</a><p id="there"><a href="https://example.org/gone">y</a><a href="mailto:x">z</a>'
    )
    return tmp_path


def wrong(site: Path) -> list[str]:
    return CHECK["dead_references"](CHECK["read_pages"](site))


def test_a_site_without_faults_passes(site: Path):
    assert wrong(site) == []
    assert CHECK["other_sites"](CHECK["read_pages"](site)) == ["https://example.org/gone"]


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html: no such file"),
        ('<a href="more">x</a>', "more: no such file"),
        ('<a href="more/page.html#gone">x</a>', "more/page.html#gone: no such anchor"),
        ('<a href="#gone">x</a>', "#gone: no such anchor"),
        ('<img src="gone.png">', "gone.png: no such file"),
        ('<script src="gone.js"></script>', "gone.js: no such file"),
    ],
)
def test_a_fault_is_found(site: Path, element: str, fault: str):
    (site / "index.html").write_text(element)
    assert wrong(site) == [f"index.html: {fault}"]


def test_a_public_name_that_no_page_describes_is_found(site: Path):
    (site / "index.html").write_text('<dt id="tfmr.nn.LayerNorm">')
    pages = CHECK["read_pages"](site)
    (line,) = CHECK["left_out"](pages, ["tfmr.nn.LayerNorm", "tfmr.nn.Encoder"])
    assert line.startswith("tfmr.nn.Encoder:")
    assert {"tfmr.nn.LayerNorm", "tfmr.Config", "tfmr.data.corpora.load_corpus"} <= set(CHECK["public_names"]())


def test_an_empty_site_fails(tmp_path: Path):
    with pytest.raises(SystemExit) as exit_:
        CHECK["main"](str(tmp_path))
    assert exit_.value.code == 1
