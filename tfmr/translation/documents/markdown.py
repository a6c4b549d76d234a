"""Markdown, parsed by pyromark (pulldown-cmark), which says where in the file each element stands."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfmr.translation.documents.html import html_segments, html_structure
from tfmr.translation.documents.pieces import Piece, Rewritten, Segment, make_segments
from tfmr.translation.documents.protected import tag_piece

_DELIMITERS = {"Emphasis": 1, "Strong": 2, "Strikethrough": 0, "Subscript": 1, "Superscript": 1}
"""The number of characters on each side. 0: as many as there are."""
_SPECIAL = re.compile(r"\\(?=[!-/:-@\[-`{-~])|[`*\[\]<~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~](?<![,.:;?'\"/%@])")
_SPECIAL_AT_START = re.compile(r"(?:[-+>=#:|]|\d+(?=[.)]))")


def markdown_segments(text: str) -> Iterator[Segment]:
    """Yields a segment for each paragraph, heading, table cell and so on, and those of HTML blocks.

    Code, metadata, definitions of links, images and titles of links are left out.
    """
    found = [*make_segments(_Runs(text), escape_markdown), *_in_html_blocks(text)]
    yield from sorted(found, key=lambda segment: segment.start)


def escape_markdown(text: str, begins_line: bool) -> str:
    """Returns text with a backslash before the characters that would be markup."""
    escaped = _SPECIAL.sub(lambda match: "&amp;" if match.group() == "&" else f"\\{match.group()}", text)
    escaped = escaped.replace("|", "\\|")  # a cell of a table ends with it
    return _escape_start(escaped) if begins_line else escaped


def escape_all_markdown(text: str, begins_line: bool) -> str:
    """Returns text with a backslash before all characters that can be markup anywhere."""
    escaped = _PUNCTUATION.sub(r"\\\g<0>", text)
    return _escape_start(escaped) if begins_line else escaped


def _escape_start(escaped: str) -> str:
    start = _SPECIAL_AT_START.match(escaped)
    if not start:
        return escaped
    at = start.end() if start.group()[0].isdigit() else 0
    return f"{escaped[:at]}\\{escaped[at:]}"


def _events(text: str) -> Iterator[tuple[str, Any, int, int]]:
    """Yields name, value, start and end of each event; `value` is the element of "Start" and "End"."""
    import pyromark

    options = pyromark.Options
    extensions = (
        options.ENABLE_TABLES
        | options.ENABLE_FOOTNOTES
        | options.ENABLE_STRIKETHROUGH
        | options.ENABLE_TASKLISTS
        | options.ENABLE_MATH
        | options.ENABLE_YAML_STYLE_METADATA_BLOCKS
        | options.ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
    )
    data = np.frombuffer(text.encode(), np.uint8)
    characters = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])  # before each byte
    for event, place in pyromark.events_with_range(text, options=extensions):
        name, value = (event, None) if isinstance(event, str) else next(iter(event.items()))
        yield name, value, int(characters[place["start"]]), int(characters[place["end"]])


def markdown_structure(text: str) -> Iterator[tuple[int, str]]:
    """Yields the position and description of each element."""
    for name, value, start, end in _events(text):
        if name == "Start" and value == "HtmlBlock":
            yield from ((start + position, element) for position, element in html_structure(text[start:end]))
        if isinstance(value, dict) and "Link" in value:
            value = {**value["Link"], "link_type": None}  # a link to [name] becomes one to [translation][name]
        if name not in ("Text", "Html"):
            yield end if name == "End" else start, f"{name} {value}"


def markdown_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yields the first and the last position of each block that is in no other."""
    depth, begin = 0, 0
    for name, _, start, end in _events(text):
        if name == "Start" and depth == 0:
            begin = text.rfind("\n", 0, start) + 1
        depth += (name == "Start") - (name == "End")
        if name == "End" and depth == 0:
            yield begin, end


def _element(value: Any) -> str:
    """Returns the name of the element of "Start" and "End"."""
    return value if isinstance(value, str) else next(iter(value))


class _Runs:
    """The inline pieces between the tags of blocks, with their positions."""

    def __init__(self, text: str):
        self._text = text
        self._run: list[tuple[int, Piece]] = []
        self._end = 0  # of the last piece
        self._open: list[tuple[str, Any]] = []

    def __iter__(self) -> Iterator[Sequence[tuple[int, Piece]]]:
        hidden = 0  # depth inside of what is left out or copied as a whole
        for name, value, start, end in _events(self._text):
            element = _element(value) if name in ("Start", "End") else ""
            if hidden:
                hidden += (name == "Start") - (name == "End")
            elif name == "Start" and element in ("CodeBlock", "HtmlBlock", "MetadataBlock"):
                hidden = 1
            elif name == "Start" and (element == "Image" or _is_address(value)):
                hidden = 1
                kind = "single" if element == "Image" else "kept"
                self._add(kind, start, end, self._text[start:end].strip("<>") if kind == "kept" else "")
            elif not self._inline(name, value, element, start, end):
                yield self._run
                self._run, self._open = [], []
        yield self._run

    def _inline(self, name: str, value: Any, element: str, start: int, end: int) -> bool:
        """Adds the piece of an event; returns False if it is not inline."""
        if name == "Text":
            self._add("text", start, end, value)
        elif name in ("Code", "InlineMath"):
            self._add("kept", start, end, value)
        elif name == "SoftBreak":
            self._add("break", start, end, " ")
        elif name == "FootnoteReference":
            self._add("single", start, end)
        elif name == "InlineHtml" and tag_piece(value).tag != "br":
            piece = tag_piece(value)
            self._add(piece.kind, start, end, tag=piece.tag)
        elif name == "Start" and (element in _DELIMITERS or element == "Link"):
            self._open.append((element, value))
            self._add("open", start, start + self._size(element, start))
        elif name == "End" and self._open and element == self._open[-1][0]:
            self._close(*self._open.pop(), end)
        else:
            return False
        return True

    def _size(self, element: str, start: int) -> int:
        if element == "Link":
            return 1
        if element == "Strikethrough":
            return 2 if self._text.startswith("~~", start) else 1
        return _DELIMITERS[element]

    def _close(self, element: str, value: Any, end: int) -> None:
        if element != "Link":
            self._add("close", end - self._last_size(element, end), end)
            return
        source = self._text[self._end : end]
        link = value["Link"]
        if link["link_type"] in ("Shortcut", "Collapsed"):
            # The text is the name of the link as well, which must stay.
            closing = f"][{link['id']}]"
            self._run.append((self._end, Rewritten("close", closing, length=len(source))))
            self._end = end
        else:
            self._add("close", self._end, end)

    def _last_size(self, element: str, end: int) -> int:
        if element == "Strikethrough":
            return 2 if self._text[:end].endswith("~~") else 1
        return _DELIMITERS[element]

    def _add(self, kind: Any, start: int, end: int, text: str = "", tag: str = "") -> None:
        """Adds a piece. What the parser passes over, such as a backslash or "> ", goes to the piece beside it."""
        if self._run and self._end < start:
            last, piece = self._run[-1]
            if piece.kind == "break":
                self._run[-1] = last, Piece("break", self._text[last:start], " ")
            else:
                start = self._end
        elif not self._run and kind == "text" and start and self._text[start - 1] == "\\":
            start -= 1
        self._run.append((start, Piece(kind, self._text[start:end], text, tag)))
        self._end = end


def _is_address(value: Any) -> bool:
    return isinstance(value, dict) and "Link" in value and value["Link"]["link_type"] in ("Autolink", "Email")


def _in_html_blocks(text: str) -> Iterator[Segment]:
    begin, html = 0, ""
    for name, value, start, end in _events(text):
        if name == "Start" and value == "HtmlBlock":
            begin, html = start, ""
        elif name == "Html":
            # Between lines of HTML stands the markup of what they are in, such as "> ".
            html += " " * (start - begin - len(html)) + text[start:end]
        elif name == "End" and value == "HtmlBlock":
            yield from (_with_sources(segment.moved(begin), text) for segment in html_segments(html))


def _with_sources(segment: Segment, text: str) -> Segment:
    """Returns a segment in which the pieces are written as in the text."""
    pieces, position = [], segment.start
    for piece in segment.pieces:
        source = text[position : position + len(piece.source)]
        pieces.append(piece if source == piece.source else dataclasses.replace(piece, source=source))
        position += len(source)
    return dataclasses.replace(segment, pieces=tuple(pieces))
