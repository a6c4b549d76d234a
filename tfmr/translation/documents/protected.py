"""What stays as it is inside of running text: placeholders, addresses, numbers, and tags in formats without markup."""

import re
from collections.abc import Callable, Iterator

from tfmr.translation.documents.pieces import Piece

_PATTERNS = (
    r"\{\{[^{}\n]*\}\}",  # {{name}}
    r"\$\{[^{}\n]*\}",  # ${name}
    r"\{[^{}\s]*\}",  # {name}, {0:.2f}
    r"%\(\w+\)[-+#0]*\d*(?:\.\d+)?[a-zA-Z]",  # %(name)s
    r"(?<![\w%])%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:[hlqjzt]{0,2}[diouxXeEfFgGcsp]|@)(?!\w)",  # %s, %1$s, %.2f
    r"(?:https?|ftps?|file)://[^\s<>\"]*[^\s<>\"'.,:;!?)\]}\u00bb\u201d\u2019]",
    r"\bwww\.[^\s<>\"]*[^\s<>\"'.,:;!?)\]}\u00bb\u201d\u2019]",
    # What a match may follow keeps the time linear in the length of the text.
    r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    r"(?<!\w)(?<!\d[.,:/-])\d+(?:[.,:/-]\d+)*(?!\w)",  # 7, 3.14, 12:30
)
_PROTECTED = re.compile("|".join(_PATTERNS))
_TAGS = re.compile(r"</?[A-Za-z][^<>\n]*>|\{\\[^{}\n]*\}")  # <i>, </font>, {\an8}


def split_protected(piece: Piece, escape: Callable[[str, bool], str]) -> Iterator[Piece]:
    """Yields the text and the protected parts of a piece of text."""
    last = 0
    for match in _PROTECTED.finditer(piece.text):
        yield from cut(piece, last, match.start(), escape)
        for part in cut(piece, *match.span(), escape):
            yield Piece("kept", part.source, part.text)
        last = match.end()
    yield from cut(piece, last, len(piece.text), escape)


def cut(piece: Piece, start: int, end: int, escape: Callable[[str, bool], str]) -> Iterator[Piece]:
    """Yields the part of a piece of text between two positions of its text, unless it is empty."""
    text = piece.text[start:end]
    if text:
        yield Piece("text", text if piece.source == piece.text else escape(text, False), text)


def split_tags(text: str, start: int) -> Iterator[tuple[int, Piece]]:
    """Yields the text and the tags of a line at a position of a document without other markup."""
    last = 0
    for match in _TAGS.finditer(text):
        if match.start() > last:
            yield start + last, Piece("text", text[last : match.start()], text[last : match.start()])
        yield start + match.start(), tag_piece(match.group())
        last = match.end()
    if last < len(text):
        yield start + last, Piece("text", text[last:], text[last:])


_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)


def tag_piece(source: str) -> Piece:
    """Returns the piece of a tag that stands in the document like this."""
    name = re.match(r"</?([A-Za-z][\w:-]*)", source)
    tag = name.group(1).lower() if name else ""
    if not tag or tag in _VOID or source.endswith("/>"):
        return Piece("single", source, tag=tag)
    return Piece("close" if source.startswith("</") else "open", source, tag=tag)
