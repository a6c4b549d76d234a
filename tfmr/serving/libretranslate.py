"""LibreTranslate's API: POST /translate, GET /languages."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfmr.serving.bodies import read_fields
from tfmr.serving.errors import RequestError
from tfmr.serving.service import Service


async def translate(request: Request) -> Response:
    """Translates a text or a list of texts, each line by line."""
    service: Service = request.app.state.service
    fields = await read_fields(request)
    q: Any = fields.get("q")
    if isinstance(q, str):
        texts = [q]
    elif isinstance(q, list) and all(isinstance(text, str) for text in q):
        texts = q
    else:
        raise RequestError(400, "q: missing; must be a text or a list of texts", field="q")
    _, translator = service.translator(fields.get("source", ""), fields.get("target", ""), fields.get("model", ""))
    lines = [line for text in texts for line in text.split("\n")]
    found = iter(await service.batcher.n_best(translator, lines))
    translated = [
        "\n".join(hypotheses[0].text if (hypotheses := next(found)) else "" for _ in text.split("\n")) for text in texts
    ]
    return JSONResponse({"translatedText": translated if isinstance(q, list) else translated[0]})


async def languages(request: Request) -> Response:
    """Lists the languages."""
    service: Service = request.app.state.service
    targets: dict[str, set[str]] = {}
    for served in service.translators:
        for source in served.source:
            targets.setdefault(source, set()).update(served.target)
    return JSONResponse([{"code": code, "name": code, "targets": sorted(found)} for code, found in targets.items()])


ROUTES = [
    Route("/translate", translate, methods=["POST"]),
    Route("/languages", languages),
]
