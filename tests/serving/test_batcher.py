"""Which lines are translated together, and what becomes of those that are not wanted, wrong, or too many."""

import asyncio
import dataclasses
from collections.abc import Coroutine
from typing import Any

import pytest

from tfmr.config import DecodingConfig, SamplingConfig, ServingConfig
from tfmr.errors import InputError
from tfmr.serving.batcher import Batcher, batch_sizes, next_size
from tfmr.serving.errors import RequestError
from tfmr.serving.metrics import Metrics
from tfmr.serving.worker import Worker
from tfmr.translation import Hypothesis, Translator
from tfmr.translation.padded_batches import make_padded_batches

SETTINGS = ServingConfig(max_wait=0.05, max_waiting=40)


@dataclasses.dataclass(eq=False)
class Capitals(Translator):
    """Translates into capital letters, and notes the batches."""

    config: DecodingConfig = dataclasses.field(default_factory=lambda: DecodingConfig(batch_size=4))

    def __post_init__(self):
        self.batches: list[list[str]] = []

    def source_lengths(self, lines: list[str], prefixes: list[str] | None) -> list[int]:
        return [len(line.strip()) for line in lines]

    def n_best(self, lines: list[str], number: int, prefixes: list[str]) -> list[list[Hypothesis]]:
        self.batches.append(lines)
        if "bug" in lines:
            raise RuntimeError("a bug")
        return [
            [Hypothesis(prefix + line.upper(), 0.0, ())] * number for line, prefix in zip(lines, prefixes, strict=True)
        ]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


class Running:
    """A batcher that runs inside the context."""

    def __init__(self, settings: ServingConfig = SETTINGS):
        self.worker = Worker()
        self.batcher = Batcher(self.worker, settings, Metrics())

    async def __aenter__(self) -> Batcher:
        self.task = asyncio.create_task(self.batcher.run())
        return self.batcher

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        self.worker.close()


def texts(answers: list[list[Hypothesis]]) -> list[str]:
    return [each[0].text if each else "" for each in answers]


def test_requests_that_arrive_together_share_a_batch():
    async def test() -> None:
        translator = Capitals()
        async with Running() as batcher:
            requests = [batcher.n_best(translator, lines) for lines in (["ab"], ["cd", " ", "ef"], ["gh"])]
            answers = await asyncio.gather(*requests)
        assert [texts(each) for each in answers] == [["AB"], ["CD", "", "EF"], ["GH"]]
        assert translator.batches == [["ab", "cd", "ef", "gh"]]

    run(test())


def test_a_batch_has_the_oldest_line_and_those_most_like_it():
    async def test() -> None:
        translator = Capitals()
        async with Running() as batcher:
            await batcher.n_best(translator, ["aaa", "b", "cc", "ddddd", "e", "ffff", "ggg", "h"])
        assert translator.batches == [["aaa", "ggg", "cc", "ffff"], ["b", "e", "h", "ddddd"]]

    run(test())


def test_other_translators_numbers_and_samples_are_not_mixed():
    async def test() -> None:
        one, other = Capitals(), Capitals()
        sampling = Capitals(DecodingConfig(batch_size=4, sampling=SamplingConfig(temperature=1.0)))
        async with Running() as batcher:
            requests = [(one, 1), (other, 1), (one, 2), (one, 1), (sampling, 1), (sampling, 1)]
            await asyncio.gather(*(batcher.n_best(each, ["a", "b", "ccc"], number) for each, number in requests))
        assert sorted(map(len, one.batches)) == [1, 1, 3, 4]
        assert other.batches == [["a", "b", "ccc"]]
        assert sampling.batches == [["a", "b", "ccc"], ["a", "b", "ccc"]]

    run(test())


def test_prefixes_stay_with_their_lines():
    async def test() -> None:
        async with Running() as batcher:
            answers = await batcher.n_best(Capitals(), ["aaa", "b", "cc", "ddddd", "e"], 1, ["1", "2", "3", "4", "5"])
        assert texts(answers) == ["1AAA", "2B", "3CC", "4DDDDD", "5E"]

    run(test())


def test_lines_of_a_cancelled_request_are_not_translated():
    async def test() -> None:
        translator = Capitals()
        async with Running() as batcher:
            leaving = asyncio.create_task(batcher.n_best(translator, ["gone"] * 2))
            staying = asyncio.create_task(batcher.n_best(translator, ["here"]))
            await asyncio.sleep(0)
            leaving.cancel()
            assert texts(await staying) == ["HERE"]
            with pytest.raises(asyncio.CancelledError):
                await leaving
        assert translator.batches == [["here"]]

    run(test())


def test_lines_that_would_not_fit_are_refused_and_the_others_answered():
    async def test() -> None:
        async with Running() as batcher:
            waiting = asyncio.create_task(batcher.n_best(Capitals(), ["a"] * 30))
            await asyncio.sleep(0)
            with pytest.raises(RequestError, match="30 lines are waiting for the model, and at most 40 may") as refused:
                await batcher.n_best(Capitals(), ["b"] * 11)
            assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
            assert texts(await waiting) == ["A"] * 30
            assert texts(await batcher.n_best(Capitals(), ["b"] * 40)) == ["B"] * 40
            with pytest.raises(RequestError, match="has 41 lines; at most 40") as refused:
                await batcher.n_best(Capitals(), ["b"] * 41)
            assert refused.value.status == 400

    run(test())


def test_an_error_reaches_all_lines_of_its_batch_and_no_other():
    async def test() -> None:
        translator = Capitals()
        async with Running() as batcher:
            found = await asyncio.gather(
                *(batcher.n_best(translator, [line]) for line in ("bug", "abc", "long enough")), return_exceptions=True
            )
            assert [type(each) for each in found] == [RuntimeError] * 3
            assert texts(await batcher.n_best(translator, ["abc"])) == ["ABC"]

    run(test())


def test_a_line_that_cannot_be_translated_is_refused_before_it_waits():
    class Strict(Capitals):
        def source_lengths(self, lines: list[str], prefixes: list[str] | None) -> list[int]:
            raise InputError("line 1: is too long")

    async def test() -> None:
        async with Running() as batcher:
            with pytest.raises(InputError, match="too long"):
                await batcher.n_best(Strict(), ["abc"])

    run(test())


def test_sizes_of_batches():
    assert batch_sizes(1) == [1]
    assert batch_sizes(4) == [1, 4]
    assert batch_sizes(64) == [1, 4, 16, 24, 64]
    of_cpu = {waiting: next_size(waiting, 64, 3.0) for waiting in (1, 2, 3, 8, 9, 16, 20, 40, 191, 192, 500)}
    assert of_cpu == {1: 1, 2: 1, 3: 3, 8: 4, 9: 9, 16: 16, 20: 20, 40: 24, 191: 24, 192: 64, 500: 64}
    of_accelerator = {waiting: next_size(waiting, 64, 0.0) for waiting in (1, 9, 32, 48, 49, 64, 65)}
    assert of_accelerator == {1: 1, 9: 9, 32: 24, 48: 24, 49: 49, 64: 64, 65: 64}


@pytest.mark.parametrize("most", [1, 2, 3, 4, 10, 20, 24, 30, 64, 100])
@pytest.mark.parametrize("choice", [0.0, 3.0])
def test_every_batch_has_a_number_of_rows_that_is_compiled_at_the_start(most: int, choice: float):
    for waiting in range(1, 4 * most):
        size = next_size(waiting, most, choice)
        assert size <= waiting
        [batch] = make_padded_batches(dict.fromkeys(range(size), 9), most)
        assert batch.rows in batch_sizes(most), (waiting, size)
