"""HTML, read by the tokenizer of the standard library, which says where in the file each tag stands."""

import html
import html.parser
import itertools
import re
from collections.abc import Iterator

from tfmr.translation.documents.pieces import KEPT_TAGS, Piece, Segment, make_segments
from tfmr.translation.documents.protected import tag_piece

_INLINE = KEPT_TAGS | {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "img", "ins"),
    *("label", "mark", "q", "rp", "rt", "ruby", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "u"),
    "wbr",
}
_SKIPPED = frozenset({"math", "noframes", "object", "pre", "script", "style", "svg", "template", "textarea"})
"""Elements whose content is not prose, apart from inline ones."""


def html_segments(text: str) -> Iterator[Segment]:
    """Yields a segment for each run of text and inline elements between the tags of other elements.

    Scripts, styles, code, preformatted text, and elements with `translate="no"` or the class `notranslate` are left
    out, and so are attributes.
    """
    return make_segments(_runs(text), escape_html)


def html_structure(text: str) -> Iterator[tuple[int, str]]:
    """Yields the position and source of each tag, comment and so on."""
    for start, piece in _tokens(text):
        if piece.kind not in ("text", "break"):
            yield start, piece.source


def escape_html(text: str, begins_line: bool) -> str:
    """Returns text with the characters of markup as entities."""
    return html.escape(text, quote=False)


def _runs(text: str) -> Iterator[list[tuple[int, Piece]]]:
    run: list[tuple[int, Piece]] = []
    skipped, depth = "", 0
    for start, piece in _tokens(text):
        inline = piece.tag in _INLINE or piece.kind in ("text", "break")
        if skipped:
            if piece.tag == skipped:
                depth += {"open": 1, "close": -1}.get(piece.kind, 0)
            skipped = skipped if depth else ""
        elif inline:
            run.append((start, piece))
        else:
            yield run
            run = []
            if piece.kind == "open" and (piece.keep or piece.tag in _SKIPPED):
                skipped, depth = piece.tag, 1
    yield run


def _tokens(text: str) -> Iterator[tuple[int, Piece]]:
    """Yields position and piece of everything in the file."""
    tokenizer = _Tokenizer(text)
    for (start, kind, keep), (end, *_) in itertools.pairwise([*tokenizer.found, (len(text), "end", False)]):
        source = text[start:end]
        if kind == "tag":
            piece = tag_piece(source)
            yield start, Piece(piece.kind, source, tag=piece.tag, keep=keep)
        elif kind == "text":
            for match in re.finditer(r"\s+|\S+", source):
                is_break = "\n" in match.group()
                piece = Piece("break", match.group(), " ") if is_break else _text(match.group())
                yield start + match.start(), piece
        else:
            yield start, Piece("single", source, tag=kind)


def _text(source: str) -> Piece:
    return Piece("text", source, html.unescape(source))


_NO_REFERENCE = re.compile(r"&(?=#(?!(?:[0-9]+|[xX][0-9a-fA-F]+)[^0-9a-fA-F]))")
"""After this, the library would take the rest of the document for text."""


class _Tokenizer(html.parser.HTMLParser):
    """Collects the position and kind of each token: "text", "tag", "comment" or "declaration"."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[int, str, bool]] = []
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.feed(_NO_REFERENCE.sub("x", text))
        self.close()

    def _add(self, kind: str, keep: bool = False) -> None:
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        # A stray "<" arrives in parts that belong together.
        if not (kind == "text" and self.found and self.found[-1][1] == "text"):
            self.found.append((start, kind, keep))

    def parse_html_declaration(self, i: int) -> int:
        """Reads <![x]> as a comment, as browsers do, where the library refuses it."""
        place = self.lineno, self.offset
        try:
            return super().parse_html_declaration(i)
        except AssertionError:
            self.lineno, self.offset = place
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        classes = (values.get("class") or "").split()
        self._add("tag", (values.get("translate") or "").lower() == "no" or "notranslate" in classes)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add("tag")

    def handle_endtag(self, tag: str) -> None:
        self._add("tag")

    def handle_data(self, data: str) -> None:
        self._add("text")

    def handle_entityref(self, name: str) -> None:
        self._add("text")

    def handle_charref(self, name: str) -> None:
        self._add("text")

    def handle_comment(self, data: str) -> None:
        self._add("comment")

    def handle_decl(self, decl: str) -> None:
        self._add("declaration")

    def handle_pi(self, data: str) -> None:
        self._add("declaration")

    def unknown_decl(self, data: str) -> None:
        self._add("declaration")
