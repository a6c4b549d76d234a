"""Glossaries of requests: equal ones share batches and programs, and others need few programs of their own."""

import asyncio
import json
import random

from asgi import Application, Client
from conftest import DECODING, Recording
from starlette.testclient import TestClient

from tfmr.config import ServingConfig
from tfmr.serving import ServedTranslator, Service, make_app
from tfmr.translation import Glossary, Translator
from tfmr.translation.search_batch import search_batch


def service_of(translator: Translator) -> Service:
    return Service([ServedTranslator("letters", translator, ("en",), ("de",))], settings=ServingConfig(max_wait=0.0))


def body(q: str, glossary: dict[str, str]) -> bytes:
    return json.dumps({"q": q, "source": "en", "glossary": glossary}).encode()


def test_lines_with_equal_glossaries_share_a_batch(translator: Translator):
    async def test() -> None:
        recording = Recording(translator)
        async with Application(service_of(recording)) as app:
            first, *others = clients = [Client(app) for _ in range(5)]
            first.body(body("jig", {"cab": "d"}))
            while not recording.batches:
                await asyncio.sleep(0.01)
            for client, (q, target) in zip(
                others, [("bad cab", "d"), ("a cab", "b"), ("cab", "d"), ("fed", "d")], strict=True
            ):
                client.body(body(q, {"cab": target}))
            await asyncio.sleep(0.1)
            recording.go_on.set()
            await asyncio.gather(*(client.task for client in clients))
        assert [sorted(batch) for batch in recording.batches] == [["jig"], ["bad cab", "cab", "fed"], ["a cab"]]
        glossaries = [Glossary.from_lines([f"cab\t{target}"]) for target in "dbdd"]
        for client, q, glossary in zip(others, ["bad cab", "a cab", "cab", "fed"], glossaries, strict=True):
            expected = translator.with_glossary(glossary).translate([q])[0]
            assert json.loads(client.sent[1]["body"]) == {"translatedText": expected, "missingTerms": []}

    asyncio.run(test())


def test_many_glossaries_need_few_programs_and_few_are_kept(translator: Translator):
    draw = random.Random(0)
    lines = ["bad cab", "feed", "cabbage", "a b c d e f"]
    words = sorted({word for line in lines for word in line.split()})
    service = service_of(translator)
    programs = search_batch._cache_size()
    with TestClient(make_app(service)) as client:
        for _ in range(25):
            terms = draw.sample(words, draw.randint(1, len(words)))
            glossary = {term: "".join(draw.choices("abcdefghij", k=draw.choice([1, 2, 5]))) for term in terms}
            answer = client.post("/translate", json={"q": draw.sample(lines, 3), "source": "en", "glossary": glossary})
            assert answer.status_code == 200
    # 1 or 4 lines; without words, with up to 4 or with up to 16 of them.
    assert DECODING.batch_size == 4
    assert 0 < search_batch._cache_size() - programs <= 6
    kept = service.with_terms.cache_info()
    assert (kept.currsize, kept.misses) == (16, 25)
