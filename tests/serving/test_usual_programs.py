"""What is compiled at the start is what requests need."""

import asyncio

import pytest
from starlette.testclient import TestClient

from tfmr.language_model.generator import _next_tokens
from tfmr.serving import ServedGenerator, ServedTranslator, Service, make_app
from tfmr.serving.usual_programs import compile_programs
from tfmr.translation.search_batch import search_batch


def programs() -> int:
    return search_batch._cache_size() + _next_tokens._cache_size()


@pytest.mark.slow
def test_requests_of_usual_sizes_compile_nothing(translators: list[ServedTranslator], writer: ServedGenerator):
    search_batch.clear_cache()
    _next_tokens.clear_cache()
    service = Service(translators[:1], [writer])
    asyncio.run(compile_programs(service))
    assert not service.compiling
    compiled = programs()
    assert compiled >= 3 + 2  # one line, with alternatives, four lines; a prompt and the next token
    with TestClient(make_app(service)) as client:
        for fields in ({"q": "abc"}, {"q": ["abc"] * 4}, {"q": "ab cab", "alternatives": 1}):
            assert client.post("/translate", json=fields).status_code == 200
        for fields in ({"prompt": "ab"}, {"prompt": ["ab", "the fox", "a"], "temperature": 0.3, "max_tokens": 30}):
            answer = client.post("/v1/completions", json={"model": "writer", **fields})
            assert answer.status_code == 200
        assert programs() == compiled
        client.post("/translate", json={"q": ["abc"] * 3 + ["ab"] * 4, "alternatives": 1})  # more than a single line
        assert programs() > compiled


def test_nothing_is_compiled_while_a_request_is_in_progress(translators: list[ServedTranslator]):
    async def test() -> None:
        service = Service(translators[:1])
        service.metrics.in_progress = 1
        compiling = asyncio.create_task(compile_programs(service))
        await asyncio.sleep(0.2)
        assert service.compiling
        service.metrics.in_progress = 0
        await compiling
        assert not service.compiling

    asyncio.run(test())
