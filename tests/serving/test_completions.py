"""OpenAI's API of completions: the texts of the generator, whole or in pieces."""

import json

import pytest
from starlette.testclient import TestClient

from tfmr.config import GenerationConfig
from tfmr.language_model import Generator

SETTINGS = {"max_tokens": 12, "temperature": 0.9, "top_p": 0.8, "seed": 5}
CONFIG = GenerationConfig(max_new_tokens=12, temperature=0.9, top_p=0.8, seed=5)


def of_generator(generator: Generator, config: GenerationConfig, prompts: list[str], samples: int) -> list:
    alone = Generator(generator.model, generator.params, generator.tokenizer, config)
    return [continuation for each in alone.generate(prompts, samples) for continuation in each]


def complete(client: TestClient, **fields) -> dict:
    answer = client.post("/v1/completions", json={"model": "writer", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_texts_are_those_of_the_generator(client: TestClient, generator: Generator):
    expected = of_generator(generator, CONFIG, ["ab", "the fox"], 2)
    answer = complete(client, prompt=["ab", "the fox"], n=2, **SETTINGS)
    assert [choice["text"] for choice in answer["choices"]] == [each.text for each in expected]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
    assert answer["usage"] == {"prompt_tokens": 9, "completion_tokens": 48, "total_tokens": 57}
    assert (answer["object"], answer["model"]) == ("text_completion", "writer")
    assert len({choice["text"] for choice in answer["choices"]}) == 4


def test_a_stream_has_the_same_text_in_pieces(client: TestClient):
    whole = complete(client, prompt="ab", n=2, **SETTINGS)
    fields = {"model": "writer", "prompt": "ab", "n": 2, "stream": True, "stream_options": {"include_usage": True}}
    answer = client.post("/v1/completions", json={**fields, **SETTINGS})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, done, end = answer.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    *pieces, usage = chunks
    assert len(pieces) > 4
    for choice in whole["choices"]:
        of_choice = [each["choices"][0] for each in pieces if each["choices"][0]["index"] == choice["index"]]
        assert "".join(each["text"] for each in of_choice) == choice["text"]
        assert [each["finish_reason"] for each in of_choice][-2:] == [None, "length"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


def test_a_stop_text_ends_the_text_before_it(client: TestClient, generator: Generator):
    [whole] = of_generator(generator, CONFIG, ["ab"], 1)
    stop = whole.text[5:7]
    for given in (stop, ["zzzz", stop]):
        [choice] = complete(client, prompt="ab", stop=given, **SETTINGS)["choices"]
        assert choice["text"] == whole.text[: whole.text.index(stop)]
        assert choice["finish_reason"] == "stop"


def test_temperature_0_is_greedy(client: TestClient, generator: Generator):
    [greedy] = of_generator(generator, GenerationConfig(max_new_tokens=12, temperature=0.0), ["ab"], 1)
    for top_p in (1.0, 0.5):
        [choice] = complete(client, prompt="ab", max_tokens=12, temperature=0, top_p=top_p)["choices"]
        assert choice["text"] == greedy.text
    [choice] = complete(client, prompt="ab", max_tokens=12, temperature=3, top_p=0)["choices"]
    assert choice["text"] == greedy.text


def test_without_a_seed_texts_differ(client: TestClient):
    texts = {complete(client, prompt="ab", temperature=5, max_tokens=12)["choices"][0]["text"] for _ in range(3)}
    assert len(texts) == 3


def test_the_models_are_the_language_models(client: TestClient):
    listed = client.get("/v1/models").json()
    assert [each["id"] for each in listed["data"]] == ["writer"]
    assert client.get("/v1/models/writer").json() == listed["data"][0]
    missing = client.get("/v1/models/letters")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "letters"}, "model = 'letters': is not served"),
        ({"prompt": "ab%"}, "prompt: the tokenizer does not know '%'"),
        ({"prompt": [1, 2]}, "prompt = [1, 2]: must be a string or an array of strings"),
        ({"prompt": ""}, "prompt: must not be empty"),
        ({"prompt": "a" * 49}, "prompt: has 49 tokens; the model reads at most 48"),
        ({"prompt": "a" * 40, "max_tokens": 10}, "max_tokens must be at most 9"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens = 0: must be from 1"),
        ({"prompt": "a", "temperature": -1}, "temperature = -1: must be from 0"),
        ({"prompt": "a", "temperature": "hot"}, "temperature = 'hot': must be a number"),
        ({"prompt": "a", "top_p": 1.5}, "top_p = 1.5: must be from 0 to 1"),
        ({"prompt": "a", "n": 17}, "n = 17: must be from 1 to 16"),
        ({"prompt": "a", "seed": -1}, "seed = -1: must be from 0"),
        ({"prompt": "a", "stop": ""}, ""),
        ({"prompt": "a", "stop": ["a", ""]}, "contains an empty string"),
        ({"prompt": "a", "logprobs": 1}, "logprobs = 1: is not supported; leave it out"),
        ({"prompt": "a", "echo": True}, "echo = True: is not supported; leave it out or send false"),
        ({"prompt": "a", "best_of": 2}, "best_of = 2: is not supported"),
        ({"prompt": "a", "frequency_penalty": 0.5}, "frequency_penalty = 0.5: is not supported"),
        ({"prompt": "a", "logit_bias": {"1": 1}}, "logit_bias"),
        ({"prompt": "a", "suffix": "b"}, "suffix = 'b': is not supported"),
        ({"prompt": "a", "stream_options": {"x": 1}}, "stream_options: must be"),
        ({"prompt": "a", "messages": []}, "'messages': is not a field"),
        ({"prompt": "a", "\ud800": 1}, "'\\ud800': is not a field"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_supported_is_refused_by_name(client: TestClient, fields: dict, reason: str, stream: bool):
    answer = client.post("/v1/completions", content=json.dumps({"model": "writer", "stream": stream, **fields}))
    if not reason:  # no stop text at all
        assert answer.status_code == 200
        return
    assert answer.status_code == (404 if "not served" in reason else 400)
    assert reason in answer.json()["error"]["message"]


def test_neutral_values_of_what_is_not_supported_change_nothing(client: TestClient):
    neutral = dict(best_of=1, echo=False, frequency_penalty=0, presence_penalty=0.0, logit_bias={}, suffix="", user="x")
    plain = complete(client, prompt="ab", **SETTINGS)["choices"]
    assert complete(client, prompt="ab", logprobs=None, **neutral, **SETTINGS)["choices"] == plain
