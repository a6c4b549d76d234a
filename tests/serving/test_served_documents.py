"""Documents are translated as by `translate_document`, and do not hold up other requests."""

import asyncio
import dataclasses
import json

import pytest
from asgi import Application, Client
from conftest import DECODING, Recording
from starlette.testclient import TestClient

from tfmr.config import SamplingConfig, ServingConfig
from tfmr.serving import ServedTranslator, Service, make_app
from tfmr.translation import Translator, translate_document

LINES = ["a bad cab", "fed, big", "jig", "cab hid a bed", "add beef", "a b c d", "hi"]
DOCUMENTS = {
    "html": "".join(
        f"<h1>{LINES[number % 7]}</h1>\r\n<p>{LINES[number % 5]} <b>{LINES[number % 3]}</b> a {{x}} <code>b</code>.</p>"
        for number in range(9)
    ),
    "markdown": "".join(f"# {line}\n\n- *{line}* [{line}](a) `code`\n- 7 {line}\n\n" for line in LINES),
    "subrip": "".join(
        f"{number}\n00:00:{number:02},000 --> 00:00:{number:02},900\n{line[:3]}\n<i>{line[3:]}</i>\n\n"
        for number, line in enumerate(LINES, start=1)
    ),
}


def service_of(translator: Translator) -> Service:
    return Service([ServedTranslator("letters", translator, ("en",), ("de",))], settings=ServingConfig(max_wait=0.0))


def body(q: str, format: str = "text") -> bytes:
    return json.dumps({"q": q, "source": "en", "format": format}).encode()


def translation(client: Client) -> str:
    assert client.status == 200
    return json.loads(client.sent[1]["body"])["translatedText"]


@pytest.mark.parametrize("format", DOCUMENTS)
def test_a_document_is_translated_as_without_a_server(translator: Translator, format: str):
    recording, text = Recording(translator, go_on=True), DOCUMENTS[format]
    with TestClient(make_app(service_of(recording))) as client:
        answer = client.post("/translate", content=body(text, format))
        both = client.post("/translate", json={"q": [text, ""], "source": "en", "format": format})
    expected = translate_document(translator, format, text)
    assert expected != text
    assert answer.json() == {"translatedText": expected}
    assert both.json() == {"translatedText": [expected, ""]}
    assert max(map(len, recording.batches)) == DECODING.batch_size


def test_samples_of_a_document_are_those_without_a_server(translator: Translator):
    sampling = translator.with_config(dataclasses.replace(DECODING, sampling=SamplingConfig(temperature=1.0, seed=3)))
    text = DOCUMENTS["markdown"]
    with TestClient(make_app(service_of(sampling))) as client:
        answer = client.post("/translate", content=body(text, "markdown"))
    assert answer.json()["translatedText"] == translate_document(sampling, "markdown", text)


def test_a_line_does_not_wait_for_a_long_document(translator: Translator):
    text = "\n\n".join(LINES * 10)

    async def test() -> None:
        recording = Recording(translator)
        async with Application(service_of(recording)) as app:
            document, line = Client(app), Client(app)
            document.body(body(text, "markdown"))
            while not recording.batches:
                await asyncio.sleep(0.01)
            line.body(body("jade"))
            await asyncio.sleep(0.05)
            recording.go_on.set()
            await line.task
            assert not document.task.done()
            await document.task
        [place] = [index for index, batch in enumerate(recording.batches) if "jade" in batch]
        assert place < 4 < 15 < len(recording.batches)
        assert translation(line) == translator.translate(["jade"])[0]
        assert translation(document) == translate_document(translator, "markdown", text)

    asyncio.run(test())


def test_a_document_that_nobody_waits_for_is_not_translated_any_further(translator: Translator):
    async def test() -> None:
        recording = Recording(translator)
        service = service_of(recording)
        async with Application(service) as app:
            gone, next_one = Client(app), Client(app)
            gone.body(body("\n\n".join(LINES * 10), "markdown"))
            while not recording.batches:
                await asyncio.sleep(0.01)
            gone.go()
            await gone.task
            assert len(service.batcher) == 0
            recording.go_on.set()
            next_one.body(body("# hi", "markdown"))
            await next_one.task
        assert len(recording.batches) == 2
        assert translation(next_one) == "# " + translator.translate(["hi"])[0]

    asyncio.run(test())


@pytest.mark.parametrize("text", ["", "\n", "# ", "`code`", "12\n\n---\n", "\x00", "<!-- a -->", "[a]: b"])
def test_a_document_without_text_stays_as_it_is(client: TestClient, text: str):
    answer = client.post("/translate", content=body(text, "markdown"))
    assert answer.json() == {"translatedText": text}
