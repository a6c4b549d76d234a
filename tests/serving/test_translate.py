"""LibreTranslate's API: what the translator says, whatever the form of the request; and one clear reason if not."""

import json
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest
from starlette.testclient import TestClient

from tfmr.serving import ServedTranslator
from tfmr.serving.app import ROUTES
from tfmr.serving.completions import COMPLETION
from tfmr.serving.libretranslate import DETECT, TRANSLATE
from tfmr.translation import Translator

LINES = ["abc", "bad cab", "h", "jig", "feed", "a b c d e f", "ggg", "cabbage"]


def translated(client: TestClient, **fields) -> object:
    answer = client.post("/translate", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_text_is_translated_as_by_the_translator(client: TestClient, translator: Translator):
    expected = translator.translate(LINES)
    assert sum(map(bool, expected)) > 3
    for line, translation in zip(LINES, expected, strict=True):
        assert translated(client, q=line, source="en", target="de") == {"translatedText": translation}


def test_a_list_is_answered_with_a_list(client: TestClient, translator: Translator):
    expected = translator.translate(LINES)
    assert translated(client, q=LINES, source="en", target="de") == {"translatedText": expected}
    assert translated(client, q=LINES[:1], source="en", target="de") == {"translatedText": expected[:1]}
    assert translated(client, q=[], source="en", target="de") == {"translatedText": []}


def test_a_form_is_read_as_json_is(client: TestClient, translator: Translator):
    form = {"q": "bad cab", "source": "en", "target": "de", "format": "text", "alternatives": "1", "api_key": "any"}
    best, second = (each.text for each in translator.n_best(["bad cab"], 2)[0])
    answer = client.post("/translate", data=form)
    assert answer.json() == {"translatedText": best, "alternatives": [second]}
    several = client.post("/translate", data={"q": LINES, "source": "en", "target": "de"})
    assert several.json() == {"translatedText": translator.translate(LINES)}


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_lines_stay_lines(client: TestClient, translator: Translator, line_break: str):
    expected = translator.translate(LINES)
    text = line_break.join([LINES[0], "", "  ", *LINES[1:], ""])
    [answer] = translated(client, q=[text], source="en", target="de").values()
    assert answer == [line_break.join([expected[0], "", "", *expected[1:], ""])]


def test_alternatives_are_the_next_best_of_each_text(client: TestClient, translator: Translator):
    ranked = [[hypothesis.text for hypothesis in each] for each in translator.n_best(LINES, 2)]
    answer = translated(client, q=LINES, source="en", target="de", alternatives=1)
    assert answer["translatedText"] == [texts[0] for texts in ranked]
    assert answer["alternatives"] == [texts[1:] for texts in ranked]
    assert any(answer["alternatives"])


@pytest.mark.parametrize(
    ("format", "text"),
    [("html", "<p>{}</p>"), ("markdown", "# {}\n\n`code`"), ("subrip", "1\n00:00:01,000 --> 00:00:02,000\n{}\n")],
)
def test_a_document_keeps_what_is_not_text(client: TestClient, translator: Translator, format: str, text: str):
    line, translation = next(pair for pair in zip(LINES, translator.translate(LINES), strict=True) if pair[1])
    answer = translated(client, q=[text.format(line)], source="en", target="de", format=format)
    assert answer == {"translatedText": [text.format(translation)]}


def test_a_request_brings_its_glossary(client: TestClient, translator: Translator):
    line, other = [line for line, translation in zip(LINES, translator.translate(LINES), strict=True) if translation][
        :2
    ]
    glossary = {line: "d", "xyz": "b"}
    answer = translated(client, q=[line, other], source="en", target="de", glossary=glossary)
    assert "d" in answer["translatedText"][0].split()
    assert answer["translatedText"][1:] == translator.translate([other])
    assert answer["missingTerms"] == [[], []]
    # The tokenizer cannot write this one.
    answer = translated(client, q=line, source="en", target="de", glossary={line: "\u00e9"})
    assert answer == {"translatedText": translator.translate([line])[0], "missingTerms": [line]}


def test_languages_choose_the_model(client: TestClient, translators: list[ServedTranslator]):
    first, second = (served.model.translate(LINES) for served in translators)
    assert first != second
    assert translated(client, q=LINES, source="fr", target="de")["translatedText"] == second
    assert translated(client, q=LINES, source="fr", target="it")["translatedText"] == second
    assert translated(client, q=LINES, source="en")["translatedText"] == first
    assert translated(client, q=LINES, model="letters")["translatedText"] == first
    assert translated(client, q=LINES, source="auto", target="it", model="no-a")["translatedText"] == second
    assert client.get("/languages").json() == [
        {"code": "en", "name": "en", "targets": ["de"]},
        {"code": "fr", "name": "fr", "targets": ["de", "it"]},
    ]


def test_many_clients_get_each_its_own_answer(client: TestClient, translator: Translator):
    lines = [a + b for a in "abcde" for b in "fghij"]
    expected = translator.translate(lines)
    assert len(set(expected)) > 5
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda line: translated(client, q=line, source="en", target="de"), lines))
    assert [answer["translatedText"] for answer in answers] == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "q: missing"),
        ({"q": None}, "q: missing"),
        ({"q": 3}, "q = 3: must be a string or an array of strings"),
        ({"q": ["a", 3]}, "must be a string or an array of strings"),
        ({"q": {"a": "b"}}, "must be a string or an array of strings"),
        ({"q": "a\ud800"}, "q: contains half of a surrogate pair"),
        ({"q": "a", "source": 1}, "source = 1: must be a string"),
        ({"q": "a", "source": "xx"}, "source = 'xx': is not a language of the models; they have en, fr"),
        ({"q": "a", "target": "xx"}, "target = 'xx': is not a language of the models; they have de, it"),
        ({"q": "1\n0:0 ->", "format": "subrip"}, "line 1: not SubRip"),
        ({"q": "a", "source": "fr"}, "target: missing; must be one of de, it"),
        ({"q": "a", "source": "en", "target": "it"}, "target = 'it': is not a language of the models; they have de"),
        ({"q": "a", "source": "en", "alternatives": 2}, "alternatives = 2: must be at most 1, as the beam size is 2"),
        ({"q": "a", "source": "en", "alternatives": -1}, "alternatives = -1: must be from 0"),
        ({"q": "a", "source": "en", "alternatives": True}, "alternatives = True: must be a whole number"),
        ({"q": "a", "source": "en", "alternatives": 0.5}, "alternatives = 0.5: must be a whole number"),
        ({"q": "a", "source": "en", "format": "pdf"}, "format = 'pdf': is not supported"),
        ({"q": "a", "source": "en", "format": "html", "alternatives": 1}, "a document has one translation"),
        ({"q": "1\n0:0 ->", "source": "en", "format": "subrip"}, "line 1: not SubRip"),
        ({"q": "a", "source": "en", "glossary": {"a": 1}}, "glossary: 'a': its translation must be a string"),
        ({"q": "a", "source": "en", "glossary": {"a": " "}}, "glossary, line 1: a term is empty"),
        ({"q": "a", "source": "en", "glossary": {"a": "\ud800"}}, "halves of surrogate pairs"),
        ({"q": "a", "source": "en", "glossary": {"a": "b" * 101}}, "'a': has more than 100 characters"),
        ({"q": "a", "source": "en", "glossary": {"|".join("a" * 201): "b"}}, "has 201 forms; at most 200"),
        ({"q": "1" * 90, "source": "en", "format": "subrip"}, "line 1: not SubRip"),
        (
            {"q": "a", "source": "en", "sourse": "en"},
            "'sourse': is not a field of this request (did you mean 'source'?)",
        ),
        ({"q": "a" * 101, "source": "en"}, "q: has 101 characters; at most 100 are allowed"),
        ({"q": "a\n" + "b" * 20, "source": "en"}, "line 2: has 21 tokens, including EOS; at most 16"),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(client: TestClient, fields: dict, reason: str):
    answer = client.post("/translate", content=json.dumps(fields))
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"", "application/json", 400, "not JSON"),
        (b"{", "application/json", 400, "not JSON"),
        (b"[" * 1900, "application/json", 400, "not JSON"),
        (b'{"q": "\xff"}', "application/json", 400, "not JSON"),
        (b'{"alternatives": NaN}', "application/json", 400, "NaN is not valid in JSON"),
        (b'["a"]', "application/json", 400, "not an object"),
        (b"q=%ff", "application/x-www-form-urlencoded", 400, "not a form in UTF-8"),
        (b"\xff", "application/x-www-form-urlencoded", 400, "not a form in UTF-8"),
        (b"--a", "multipart/form-data; boundary=a", 415, "multipart/form-data: is not supported"),
        (b"q=a&source=en&alternatives=one", "application/x-www-form-urlencoded", 400, "'one': must be a whole number"),
        (b"q=" + b"a" * 2000, "application/x-www-form-urlencoded", 413, "larger than 2000 bytes"),
    ],
)
def test_a_wrong_body_is_refused_with_the_reason(client: TestClient, body: bytes, kind: str, status: int, reason: str):
    answer = client.post("/translate", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert reason in answer.json()["error"]


def test_an_unknown_model_is_not_found(client: TestClient):
    answer = client.post("/translate", json={"q": "a", "model": "leters"})
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        "model = 'leters': is not served (did you mean 'letters'?)",
    )


def test_other_paths_and_methods_are_refused(client: TestClient):
    assert client.get("/nothing").status_code == 404
    assert client.get("/../pyproject.toml").status_code == 404
    assert client.get("/translate").status_code == 405
    assert client.post("/health").status_code == 405
    assert client.post("/app.js").status_code == 405
    for path in ("/transalte", "/%00", "/" + "a" * 300):
        assert client.post(path).status_code == client.get(path).status_code == 404
    assert "error" in client.delete("/v1/models").json()


def test_the_description_has_all_paths_and_their_fields(client: TestClient):
    description = client.get("/openapi.json").json()
    documented = {route.path for route in ROUTES if not route.path.startswith("/page")}
    assert set(description["paths"]) == documented - {"/openapi.json"}
    for path, fields in (("/translate", TRANSLATE), ("/detect", DETECT), ("/v1/completions", COMPLETION)):
        content = description["paths"][path]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert set(schema["properties"]) == {name for name, field in fields.items() if field.only != ()}
        validator = jsonschema.Draft202012Validator(schema)
        numbers = [] if path == "/detect" else [{"q": "a", "model": "b", "n": 0, "alternatives": -1}]
        for wrong in ({}, {"q": 1}, {"model": 1}, *numbers):
            assert not validator.is_valid(wrong)
            assert client.post(path, json=wrong).status_code == 400
        assert validator.is_valid({"q": "a", "model": "letters", "alternatives": 1, "n": 2, "stop": ["a"]})
