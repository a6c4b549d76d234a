"""The types of documents."""

import os
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import NamedTuple

from tfmr.errors import InputError
from tfmr.translation.documents.html import html_segments, html_structure
from tfmr.translation.documents.markdown import markdown_blocks, markdown_segments, markdown_structure
from tfmr.translation.documents.pieces import Segment
from tfmr.translation.documents.plain_text import text_segments, text_structure
from tfmr.translation.documents.subrip import subrip_segments, subrip_structure


def _whole(text: str) -> Iterable[tuple[int, int]]:
    return [(0, len(text))]


class Format(NamedTuple):
    """What is particular to a type of documents.

    Attributes:
      segments: divides a document into segments.
      structure: returns the position and description of each element, without what a translation may change.
      blocks: returns the first and last position of each part of a document that can be parsed by itself.
      packages: what it needs to be installed.
    """

    segments: Callable[[str], Iterable[Segment]]
    structure: Callable[[str], Iterable[tuple[int, str]]]
    blocks: Callable[[str], Iterable[tuple[int, int]]] = _whole
    packages: tuple[str, ...] = ()


FORMATS = {
    "text": Format(text_segments, text_structure),
    "markdown": Format(markdown_segments, markdown_structure, markdown_blocks, ("pyromark",)),
    "html": Format(html_segments, html_structure),
    "subrip": Format(subrip_segments, subrip_structure, packages=("srt",)),
}
_SUFFIXES = {".txt": "text", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}
_SUFFIXES |= {".xhtml": "html", ".srt": "subrip"}


def document_type(name: str | os.PathLike) -> str:
    """Returns the type of a document, from the type itself or the end of its file name.

    Raises:
      InputError: if it is not one of the types.
    """
    kind = str(name) if str(name) in FORMATS else _SUFFIXES.get(PurePath(name).suffix.lower(), "")
    if not kind:
        raise InputError(
            f"{os.fspath(name)!r}: not a known type of document; the types are {', '.join(FORMATS)}, and the file "
            f"names end in {', '.join(_SUFFIXES)}"
        )
    return kind
