"""Translation of whole documents."""

import collections
import dataclasses
import itertools
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from tfmr.errors import require_packages
from tfmr.translation.documents.formats import FORMATS, document_type
from tfmr.translation.documents.markdown import escape_all_markdown, escape_markdown
from tfmr.translation.documents.model_calls import Align, Call, Steps, Translate, next_call
from tfmr.translation.documents.pieces import Piece, Segment, has_letters
from tfmr.translation.documents.placement import (
    Marked,
    Unit,
    bounds_of,
    diagonal,
    marked,
    place,
    units_of,
    write,
)
from tfmr.translation.documents.protected import split_protected
from tfmr.translation.documents.sentences import split_sentences
from tfmr.translation.documents.structure import changed_in_blocks, with_translations, without_changes
from tfmr.translation.rules import require_left_to_right
from tfmr.translation.translator import Translator
from tfmr.translation.word_alignment import Span, WordAttention

log = logging.getLogger("tfmr")


def document_text(name_or_type: str | os.PathLike, text: str) -> str:
    """Returns the text of a document that is translated, with a line for each segment; raises as `check_document`."""
    segments = _segments(name_or_type, text)
    texts = ("".join(piece.text for piece in each.pieces if piece.kind in ("text", "break")) for each in segments)
    return "\n".join(texts)


def check_document(name_or_type: str | os.PathLike, text: str) -> None:
    """Raises what `translate_document` would raise because of the type or the text."""
    _segments(name_or_type, text)


def _segments(name_or_type: str | os.PathLike, text: str) -> list[Segment]:
    kind = document_type(name_or_type)
    require_packages("sentencex", *FORMATS[kind].packages, extra="documents", purpose="translate documents")
    return list(FORMATS[kind].segments(text))


def translate_document(
    translator: Translator, name_or_type: str | os.PathLike, text: str, *, language: str = "en"
) -> str:
    """Returns a document with its text translated, and everything else as it is.

    A sentence that cannot be translated stays as it is, and a warning with its line is logged: if it has too many
    tokens, or if no output satisfies the rules of decoding. So does a segment whose translation would change the
    structure of the document.

    Args:
      translator: a `Translator`. For an ensemble, markup is placed as if the order of words did not change.
      name_or_type: "text", "markdown", "html" or "subrip", or a file name that ends like one.
      text: the document.
      language: the language of the document, for the rules by which it is divided into sentences.

    Raises:
      InputError: if the type is unknown, or the text is not of that type; if the model writes from right to left; or
        as `Translator.translate`.
      MissingPackage: if a package of `tfmr[documents]` is not installed.
    """
    steps = document_steps(translator, name_or_type, text, language=language)
    call = next_call(steps)
    while not isinstance(call, str):
        call = next_call(steps, call.result(translator))
    return call


def document_steps(
    translator: Translator, name_or_type: str | os.PathLike, text: str, *, language: str = "en"
) -> Steps:
    """Returns the steps of `translate_document`, for callers that run the model in their own way.

    The translator is only asked for what its tokenizer knows.
    """
    require_left_to_right("a document", translator.tokenizer)
    segments, form = _segments(name_or_type, text), FORMATS[document_type(name_or_type)]
    parts = list(_parts_of_segments(text, segments, language))
    translations = yield from _written_parts(translator, parts)
    changed = changed_in_blocks(text, segments, translations, form)
    if changed:
        again = yield from _written_parts(translator, [list(_in_safer_parts(parts[index])) for index in changed])
        for index, translation in zip(changed, again, strict=True):
            translations[index] = translation
    return with_translations(text, segments, without_changes(text, segments, translations, form))[0]


@dataclass(frozen=True)
class _Sentence:
    pieces: tuple[Piece, ...]
    line: int
    escape: Callable[[str, bool], str]
    begins_line: bool

    @property
    def source(self) -> str:
        return "".join(piece.source for piece in self.pieces)


_Parts = list[str | _Sentence]
"""The sentences of a segment, and what is between them."""


def _parts_of_segments(text: str, segments: Sequence[Segment], language: str) -> Iterator[_Parts]:
    position, line = 0, 1
    for segment in segments:
        line += text.count("\n", position, segment.start)
        yield list(_parts(segment, language, line))
        line += text.count("\n", segment.start, segment.end)
        position = segment.end


def _written_parts(translator: Translator, parts: Sequence[_Parts]) -> Generator[Call, Any, list[str]]:
    """Yields calls, and returns each list of parts with its sentences translated."""
    sentences = [part for some in parts for part in some if isinstance(part, _Sentence)]
    translations = iter((yield from _translate(translator, sentences)) if sentences else [])
    return ["".join(next(translations) if isinstance(part, _Sentence) else part for part in some) for some in parts]


def _in_safer_parts(parts: _Parts) -> Iterator[str | _Sentence]:
    """Yields the parts of a segment such that markup stands where it does in the source, and nothing else is markup."""
    for part in parts:
        if isinstance(part, str):
            yield part
            continue
        escape = escape_all_markdown if part.escape is escape_markdown else part.escape
        sentence = dataclasses.replace(part, escape=escape)
        has_marks = any(piece.is_mark for piece in part.pieces)
        yield from _parts_between_marks(sentence) if has_marks else [sentence]


def _parts(segment: Segment, language: str, line: int) -> Iterator[str | _Sentence]:
    """Yields the sentences of a segment, and what is between them. `line` is the line on which the segment begins."""
    pieces = [
        part
        for piece in segment.pieces
        for part in (split_protected(piece, segment.escape) if piece.kind == "text" else [piece])
    ]
    begins_line = True
    for sentence in split_sentences(pieces, language, segment.escape):
        for part, translatable in _trimmed(sentence, segment.escape):
            source = "".join(piece.source for piece in part)
            yield _Sentence(tuple(part), line, segment.escape, begins_line) if translatable else source
            line += source.count("\n")
            begins_line = source.rstrip(" \t").endswith("\n") if source.strip(" \t") else begins_line


def _trimmed(sentence: Sequence[Piece], escape: Callable[[str, bool], str]) -> tuple[tuple[list[Piece], bool], ...]:
    """Returns the white space before a sentence, the sentence, and the white space after it.

    Beside each stands whether it has letters to translate.
    """
    pieces, before, after = list(sentence), [], []
    while pieces and pieces[0].kind in ("text", "break") and not pieces[0].text.strip():
        before.append(pieces.pop(0))
    while pieces and pieces[-1].kind in ("text", "break") and not pieces[-1].text.strip():
        after.insert(0, pieces.pop())
    if pieces and pieces[0].kind == "text":
        space, pieces[0] = _split_space(pieces[0], len(pieces[0].text) - len(pieces[0].text.lstrip()), escape)
        before += [space]
    if pieces and pieces[-1].kind == "text":
        pieces[-1], space = _split_space(pieces[-1], len(pieces[-1].text.rstrip()), escape)
        after.insert(0, space)
    has_text = any(has_letters(piece.text) for piece in pieces if piece.kind == "text")
    return (before, False), (pieces, has_text), (after, False)


def _split_space(piece: Piece, at: int, escape: Callable[[str, bool], str]) -> tuple[Piece, Piece]:
    """Returns two pieces of text, of which one is white space."""
    first, second = piece.text[:at], piece.text[at:]
    if piece.source == piece.text:
        return Piece("text", first, first), Piece("text", second, second)
    return Piece("text", escape(first, False), first), Piece("text", escape(second, False), second)


def _translate(translator: Translator, sentences: Sequence[_Sentence]) -> Generator[Call, Any, list[str]]:
    """Yields calls, and returns the translation of each sentence, with its markup.

    The model is first given sentences with the words that must not change. Sentences in whose translations these are
    not all found are translated without them. Where a translation has fewer words than the markup needs, the parts
    between the markup are translated one by one.
    """
    written: dict[int, str | None] = {}
    for with_kept in (True, False):
        left = [index for index in range(len(sentences)) if index not in written]
        tried = [(index, marked(sentences[index].pieces, with_kept)) for index in left]
        last = [index for index, source in tried if not (with_kept and source.kept)]
        fitting = _fitting(translator, sentences, tried, last)
        lines = [sentences[index].line for index, _ in fitting]
        targets = yield Translate([source.text for _, source in fitting], lines)
        copied = [
            (index, source, target)
            for (index, source), target in zip(fitting, targets, strict=True)
            if not with_kept or not source.kept or _has_kept(source, target)
        ]
        weights_of_each = yield from _weights(translator, copied)
        for (index, source, target), weights in zip(copied, weights_of_each, strict=True):
            written[index] = _written(sentences[index], source, target, weights)
        written |= {index: sentences[index].source for index in last if index not in written}
    short = {index: list(_parts_between_marks(sentences[index])) for index, text in written.items() if text is None}
    if short:
        written |= zip(short, (yield from _written_parts(translator, list(short.values()))), strict=True)
    return [written[index] or "" for index in range(len(sentences))]


def _parts_between_marks(sentence: _Sentence) -> Iterator[str | _Sentence]:
    """Yields the texts between the marks of a sentence as sentences of their own, and everything else as it is.

    If there are no marks, the texts are those between words that must not change.
    """
    begins_line = sentence.begins_line
    marks = [piece for piece in sentence.pieces if piece.is_mark] or [p for p in sentence.pieces if p.kind == "kept"]
    for is_mark, group in itertools.groupby(sentence.pieces, key=lambda piece: piece in marks):
        for part, is_text in _trimmed(list(group), sentence.escape):
            source = "".join(piece.source for piece in part)
            if is_text and not is_mark:
                yield _Sentence(tuple(part), sentence.line, sentence.escape, begins_line)
            else:
                yield source
            begins_line = source.endswith("\n") if source else begins_line


def _fitting(
    translator: Translator, sentences: Sequence[_Sentence], tried: Sequence[tuple[int, Marked]], last: Sequence[int]
) -> list[tuple[int, Marked]]:
    """Returns the sentences that are not too long, and reports the others unless they are tried again."""
    fitting = []
    for (index, source), excess in zip(
        tried, translator.excess_tokens([source.text for _, source in tried]), strict=True
    ):
        if excess <= 0:
            fitting.append((index, source))
        elif index in last:
            log.warning(
                "line %d: a sentence is %d tokens too long to be translated, and stays as it is; split it: %.60s",
                *(sentences[index].line, excess, source.text),
            )
    return fitting


def _has_kept(source: Marked, target: str) -> bool:
    """Returns whether a translation has the words that must not change, each as often as the source."""
    found = collections.Counter(unit.piece.text for unit in units_of(target, source.kept) if unit.piece)
    return found == collections.Counter(piece.text for piece in source.kept)


def _written(
    sentence: _Sentence, source: Marked, target: str, weights: Float[np.ndarray, "targets sources"] | None
) -> str | None:
    """Returns a translation as the document writes it; None if it has too few words for the markup."""
    units = units_of(target, source.kept)
    if not units:
        log.warning("line %d: has no translation, and stays as it is: %.60s", sentence.line, source.text)
        return sentence.source
    units = _in_order(units, source)
    if weights is None:
        weights = diagonal(len(units), len(units_of(source.text, source.kept)))
    places = place(source, target, units, weights)
    return (
        write(target, units, source.marks, places, sentence.escape, sentence.begins_line)
        if places is not None
        else None
    )


def _in_order(units: Sequence[Unit], source: Marked) -> list[Unit]:
    """Returns units whose pieces are those of the source, each once, where several have the same text."""
    pieces = collections.defaultdict(list)
    for piece in source.kept:
        pieces[piece.text].append(piece)
    return [Unit(unit.start, unit.end, pieces[unit.piece.text].pop(0)) if unit.piece else unit for unit in units]


def _weights(
    translator: Translator, translations: Sequence[tuple[int, Marked, str]]
) -> Generator[Call, Any, list[Float[np.ndarray, "targets sources"] | None]]:
    """Yields calls, and returns the attention of each translation's words to its source's, where markup needs it."""
    found: list[Float[np.ndarray, "targets sources"] | None] = [None] * len(translations)
    if len(translator.members) > 1:
        return found
    needed = [i for i, (_, source, target) in enumerate(translations) if _is_divided(source) and target.strip()]
    alignments = yield Align([translations[i][1].text for i in needed], [translations[i][2] for i in needed])
    attention = WordAttention(translator.tokenizer)
    for i, alignment in zip(needed, alignments, strict=True):
        _, source, target = translations[i]
        if not alignment.target:
            continue
        spans = [[Span(unit.start, unit.end) for unit in units_of(text, source.kept)] for text in (source.text, target)]
        weights = attention(alignment, source.text, target, *spans)
        found[i] = weights + 0.01 * diagonal(*weights.shape)  # decides between equal attention
    return found


def _is_divided(source: Marked) -> bool:
    """Returns whether a mark stands between two words."""
    number = len(units_of(source.text, source.kept))
    return any(0 < bound < number for bound in bounds_of(source, units_of(source.text, source.kept)))
