"""LibreTranslate's API: POST /translate, POST /detect, GET /languages."""

import functools
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfmr.serving.bodies import read_fields
from tfmr.serving.detection import Detected, detect, detect_source
from tfmr.serving.documents import translate_document
from tfmr.serving.errors import RequestError
from tfmr.serving.fields import Field
from tfmr.serving.service import Service
from tfmr.translation import Glossary, Hypothesis, Translator, document_text

TRANSLATE = {
    "q": Field(
        kinds=("text", "texts"), meaning="A text, or several. Each line is translated on its own.", required=True
    ),
    "source": Field(kinds=("text",), meaning="Language of the texts. auto: the one that is detected.", default="auto"),
    "target": Field(
        kinds=("text",), meaning="Language to translate into. Empty: if the server has only one.", default=""
    ),
    "format": Field(
        kinds=("text",),
        meaning="Format of the texts. text: lines. Others are documents, whose markup stays as it is.",
        default="text",
        only=("text", "html", "markdown", "subrip"),
    ),
    "alternatives": Field(
        kinds=("integer",),
        meaning="Number of further translations, less than the beam size.",
        default=0,
        least=0,
        most=100,
    ),
    "model": Field(kinds=("text",), meaning="Name of the model. Empty: the first with these languages.", default=""),
    "glossary": Field(
        kinds=("object",), meaning="Terms of the source, each with its translation, or several joined by |.", default={}
    ),
}

DETECT = {"q": Field(kinds=("text", "texts"), meaning="A text, or several of one language.", required=True)}

MOST_FORMS = 200
"""The number of source forms in the glossary of a request."""
LONGEST_TERM = 100
"""The number of characters of a term or its translation there, with all forms."""


async def translate(request: Request) -> Response:
    """Translates a text or several, line by line."""
    service: Service = request.app.state.service
    fields = await read_fields(request, TRANSLATE)
    texts = _texts(service, fields)
    detected = None
    if fields["source"] in ("", "auto"):
        detected = await _detect_source(service, texts, fields)
        fields["source"] = detected["language"]
    translator = service.translator(fields["source"], fields["target"], fields["model"])
    terms = fields["glossary"]
    glossary = None
    if terms:
        _check_terms(terms)
        translator, glossary = await service.reader.run(service.with_terms, translator, tuple(terms.items()))
    if fields["format"] == "text":
        answer = await _translate_lines(service, translator, texts, fields["alternatives"] + 1)
    else:
        answer = await _translate_documents(service, translator, texts, fields)
    if glossary is not None:
        find = functools.partial(_missing_terms, glossary, fields["format"])
        answer["missingTerms"] = await service.reader.run(find, texts, answer["translatedText"])
    if detected is not None:
        answer["detectedLanguage"] = [detected] * len(texts)
    # A single text is answered with a single text.
    return JSONResponse(answer if texts is fields["q"] else {name: value[0] for name, value in answer.items()})


def _texts(service: Service, fields: dict[str, Any]) -> list[str]:
    """Returns the texts of a request; raises RequestError if they are too long."""
    texts = [fields["q"]] if isinstance(fields["q"], str) else fields["q"]
    service.check_length(texts, "q")
    return texts


async def _detect_source(service: Service, texts: Sequence[str], fields: dict[str, Any]) -> Detected:
    """Returns the language of the texts of a request, one for all of them, as LibreTranslate does."""
    codes, possible = service.sources(), service.sources(fields["target"], fields["model"])
    if len(codes) == 1:  # no text needs to be read
        return detect("", codes)[0]
    text = await service.reader.run(_visible_text, fields["format"], texts)
    detected = await service.reader.run(detect_source, text, codes, possible)
    if detected is None:
        some = ", ".join(possible[:5])
        raise RequestError(400, f"source: cannot be detected for languages such as {some}; send it", field="source")
    return detected


def _visible_text(format: str, texts: Sequence[str]) -> str:
    return "\n".join(text if format == "text" else document_text(format, text) for text in texts)


async def detect_language(request: Request) -> Response:
    """Lists the languages that a text may have, of those that can be translated."""
    service: Service = request.app.state.service
    fields = await read_fields(request, DETECT)
    texts = _texts(service, fields)
    return JSONResponse(await service.reader.run(detect, "\n".join(texts), service.sources()))


def _check_terms(terms: dict[str, Any]) -> None:
    # Searches for terms take time and memory that grow with the number and the length of their forms.
    forms = sum(1 + source.count("|") for source in terms)
    if forms > MOST_FORMS:
        raise RequestError(400, f"glossary: has {forms} forms; at most {MOST_FORMS} are allowed", field="glossary")
    for source, target in terms.items():
        if not isinstance(target, str) or any(c in "\t\r\n" or "\ud800" <= c <= "\udfff" for c in source + target):
            raise RequestError(
                400,
                f"glossary: {source[:60]!r}: its translation must be a string, and neither of them may contain tabs, "
                "line breaks or halves of surrogate pairs",
                field="glossary",
            )
        if max(len(source), len(target)) > LONGEST_TERM:
            raise RequestError(
                400, f"glossary: {source[:60]!r}: has more than {LONGEST_TERM} characters", field="glossary"
            )


def _missing_terms(glossary: Glossary, format: str, sources: Sequence[str], targets: Sequence[str]) -> list[list[str]]:
    """Returns, for each text, the terms that a line of it uses and whose translations the translated line lacks."""
    found = []
    for source, target in zip(sources, targets, strict=True):
        if format != "text":
            source, target = document_text(format, source), document_text(format, target)
        lines = zip(source.split("\n"), target.split("\n"), strict=False)
        found.append(list(dict.fromkeys(term for pair in lines for term in glossary.missing_terms(*pair))))
    return found


async def _translate_documents(
    service: Service, translator: Translator, texts: Sequence[str], fields: dict[str, Any]
) -> dict[str, Any]:
    if fields["alternatives"]:
        raise RequestError(400, "alternatives: a document has one translation; leave it out, or send format text")
    kind, language = fields["format"], fields["source"]
    return {"translatedText": [await translate_document(service, translator, kind, text, language) for text in texts]}


async def _translate_lines(
    service: Service, translator: Translator, texts: Sequence[str], number: int
) -> dict[str, Any]:
    if number > translator.config.beam_size:
        most = translator.config.beam_size - 1
        raise RequestError(400, f"alternatives = {number - 1}: must be at most {most}, as the beam size is {most + 1}")
    lines = [text.replace("\r\n", "\n").split("\n") for text in texts]
    found = iter(await service.batcher.n_best(translator, [line for each in lines for line in each], number))
    ranked = [_ranked(text, [next(found) for _ in each]) for text, each in zip(texts, lines, strict=True)]
    answer: dict[str, Any] = {"translatedText": [best for best, *_ in ranked]}
    if number > 1:
        answer["alternatives"] = [others for _, *others in ranked]
    return answer


def _ranked(text: str, of_lines: Sequence[Sequence[Hypothesis]]) -> list[str]:
    """Returns the best translation of a text, the second best, and so on, from the hypotheses of each line.

    A line that has fewer hypotheses than others contributes its last one. Line breaks are those of the text.
    """
    line_break = "\r\n" if "\r\n" in text else "\n"
    return [
        line_break.join(line[min(rank, len(line) - 1)].text if line else "" for line in of_lines)
        for rank in range(max(1, *map(len, of_lines)))
    ]


async def languages(request: Request) -> Response:
    """Lists the languages that can be translated, each with those that it can be translated into."""
    service: Service = request.app.state.service
    targets: dict[str, set[str]] = {}
    for served in service.translators:
        for source in served.source:
            targets.setdefault(source, set()).update(served.target)
    found = [{"code": code, "name": code, "targets": sorted(into)} for code, into in sorted(targets.items())]
    return JSONResponse(found)


ROUTES = [
    Route("/translate", translate, methods=["POST"]),
    Route("/detect", detect_language, methods=["POST"]),
    Route("/languages", languages),
]
