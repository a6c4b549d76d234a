"""What every request passes: the size and the time of its body, its key, and a client that goes."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from asgi import Application, Client
from starlette.testclient import TestClient

from tfmr.config import DecodingConfig, ServingConfig
from tfmr.errors import InputError
from tfmr.serving import ServedTranslator, Service, make_app
from tfmr.translation import Hypothesis, Translator

BODY = b'{"q": "abc", "source": "en", "target": "de"}'


class Slow(Translator):
    """A translator that waits until it may go on; it fails for the line `bug`."""

    config = DecodingConfig(batch_size=4)

    def __init__(self):
        self.go_on, self.batches = threading.Event(), []
        self.tokenizer = type("Tokenizer", (), {"tags": type("Tags", (), {"languages": {}})})

    def source_lengths(self, lines: list[str], prefixes: list[str] | None) -> list[int]:
        return [len(line) for line in lines]

    def n_best(self, lines: list[str], number: int, prefixes: list[str]) -> list[list[Hypothesis]]:
        self.batches.append(lines)
        self.go_on.wait(20)
        if "bug" in lines:
            raise RuntimeError("a secret of the server")
        return [[Hypothesis(line.upper(), 0.0, ())] for line in lines]


def service_of(translator: Any, **settings: Any) -> Service:
    return Service([ServedTranslator("slow", translator, ("en",), ("de",))], settings=ServingConfig(**settings))


def quick(**settings: Any) -> TestClient:
    translator = Slow()
    translator.go_on.set()
    return TestClient(make_app(service_of(translator, **settings)))


def test_a_key_is_needed_in_one_of_its_places():
    fields = {"q": "abc", "source": "en"}
    with quick(api_key="sesame") as client:
        assert client.post("/translate", json=fields).status_code == 401
        assert client.post("/translate", json=fields | {"api_key": "other"}).status_code == 401
        assert client.post("/translate", json=fields | {"api_key": 3}).status_code == 401
        assert client.post("/translate", json=fields, headers={"Authorization": "Bearer other"}).status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/v1/models").json()["error"]["code"] == "invalid_api_key"
        assert client.post("/translate", json=fields | {"api_key": "sesame"}).json() == {"translatedText": "ABC"}
        assert client.post("/translate", data=fields | {"api_key": "sesame"}).json() == {"translatedText": "ABC"}
        bearer = {"Authorization": "Bearer sesame"}
        assert client.post("/translate", json=fields, headers=bearer).json() == {"translatedText": "ABC"}
        assert client.get("/metrics", headers=bearer).status_code == 200
        assert client.get("/metrics?api_key=sesame").status_code == 200
        for path in ("/", "/health", "/languages", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_other_origins_are_allowed_only_if_asked_for():
    origin = {"Origin": "https://a.example"}
    with quick() as client:
        assert "access-control-allow-origin" not in client.get("/health", headers=origin).headers
    with quick(cors_origins=("https://a.example",), api_key="k") as client:
        answer = client.get("/metrics", headers=origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "https://a.example")
        other = client.get("/languages", headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


def test_an_error_of_the_server_is_logged_but_not_told(caplog: pytest.LogCaptureFixture):
    with quick() as client:
        answer = client.post("/translate", json={"q": "bug"})
        assert (answer.status_code, "secret" in answer.text) == (500, False)
        assert client.post("/translate", json={"q": "abc", "source": "en"}).json() == {"translatedText": "ABC"}
    assert "a secret of the server" in caplog.text


def test_requests_are_counted_by_path_and_status():
    with quick() as client:
        for path in ("/health", "/health", "/x", "/y"):
            client.get(path)
        client.post("/translate", json={"q": "abc"})
        counted = [line for line in client.get("/metrics").text.splitlines() if line.startswith("tfmr_requests_total")]
        assert counted == [
            'tfmr_requests_total{path="/health",status="200"} 2.0',
            'tfmr_requests_total{path="other",status="404"} 2.0',
            'tfmr_requests_total{path="/translate",status="200"} 1.0',
        ]
        assert "tfmr_batch_lines_count 1.0" in client.get("/metrics").text


def test_a_client_that_goes_takes_its_lines_with_it():
    async def test() -> None:
        translator = Slow()
        service = service_of(translator, max_wait=0.0)
        async with Application(service) as app:
            first, gone = Client(app), Client(app)
            first.body(BODY)
            while not translator.batches:
                await asyncio.sleep(0.01)
            gone.body(BODY.replace(b"abc", b"never"))
            await asyncio.sleep(0.05)
            assert len(service.batcher) == 1
            gone.go()
            await gone.task
            assert len(service.batcher) == 0
            translator.go_on.set()
            await first.task
        assert (first.status, gone.sent, translator.batches) == (200, [], [["abc"]])

    asyncio.run(test())


def test_what_takes_too_long_is_given_up():
    async def test() -> None:
        translator = Slow()
        async with Application(service_of(translator, timeout=0.2)) as app:
            unanswered, unfinished = Client(app), Client(app)
            unanswered.body(BODY)
            unfinished.body(BODY[:9], more=True)
            await asyncio.gather(unanswered.task, unfinished.task)
            translator.go_on.set()
        assert (unanswered.status, unfinished.status) == (503, 408)
        assert (b"retry-after", b"1") in unanswered.sent[0]["headers"]

    asyncio.run(test())


def test_a_body_is_refused_as_soon_as_it_is_too_large():
    async def test() -> None:
        async with Application(service_of(Slow(), max_body=1000)) as app:
            announced, growing = Client(app, content_length="100000000"), Client(app)
            for _ in range(3):
                growing.body(b" " * 400, more=True)
            await asyncio.wait_for(asyncio.gather(announced.task, growing.task), 5)
        assert (announced.status, growing.status) == (413, 413)

    asyncio.run(test())


def test_too_many_requests_at_once_are_refused():
    async def test() -> None:
        translator = Slow()
        async with Application(service_of(translator, max_requests=2)) as app:
            clients = [Client(app) for _ in range(4)]
            for client in clients:
                client.body(BODY)
            await asyncio.sleep(0.1)
            translator.go_on.set()
            await asyncio.gather(*(client.task for client in clients))
        assert sorted(client.status for client in clients) == [200, 200, 503, 503]

    asyncio.run(test())


def test_two_models_of_one_name_are_refused():
    model = ServedTranslator("demo", Slow(), ("en",), ("de",))
    with pytest.raises(InputError, match="two models are named 'demo'"):
        Service([model, model])


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR, "tfmr")
