"""Languages are found among those that the server has, whatever the form of their codes."""

import pytest
from starlette.testclient import TestClient

from tfmr.serving import ServedGenerator, ServedTranslator, Service, detection, make_app
from tfmr.serving.detection import detect, detect_source

# The first article of the Universal Declaration of Human Rights.
SENTENCES = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "no": "Alle mennesker er født frie og med samme menneskeverd og menneskerettigheter.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق",
    "zh": "人人生而自由,在尊严和权利上一律平等。",
}
OTHER_CODES = {
    "nllb": {
        "en": "eng_Latn",
        "de": "deu_Latn",
        "fr": "fra_Latn",
        "no": "nob_Latn",
        "ar": "arb_Arab",
        "zh": "zho_Hans",
    },
    "mbart": {"en": "en_XX", "de": "de_DE", "fr": "fr_XX", "no": "nb", "ar": "ar_AR", "zh": "zh_CN"},
}


@pytest.mark.parametrize("codes", [{}, *OTHER_CODES.values()], ids=["plain", *OTHER_CODES])
@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_of_a_sentence_comes_first(language: str, codes: dict[str, str]):
    given = [codes.get(each, each) for each in sorted(SENTENCES)]
    found = detect(SENTENCES[language], given)
    assert found[0]["language"] == codes.get(language, language)
    assert found[0]["confidence"] > 90
    assert sorted(each["language"] for each in found) == sorted(given)
    confidences = [each["confidence"] for each in found]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(100, abs=0.5)


def test_what_the_library_does_not_know_has_confidence_0_and_comes_last():
    found = detect(SENTENCES["de"], ["xx", "german", "bod_Tibt", "x-y", "", "de", "zho_Hant", "zho_Hans"])
    assert found[0] == {"confidence": 100.0, "language": "de"}
    assert [each["confidence"] for each in found[1:]] == [0.0] * 7
    assert detect(SENTENCES["zh"], ["de", "zho_Hant", "zho_Hans"])[0]["language"] == "zho_Hant"
    assert detect("Hallo", ["xx", "bod_Tibt"]) == [{"confidence": 0.0, "language": code} for code in ("xx", "bod_Tibt")]


@pytest.mark.parametrize("text", ["", " \n", "123", "?!", "\x00", "🙂"])
def test_a_text_without_letters_has_no_language(text: str):
    assert detect(text, ["fr", "de"]) == [{"confidence": 0.0, "language": code} for code in ("fr", "de")]


def test_the_only_language_needs_no_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(detection, "importlib", None)
    assert detect("12", ["de"]) == [{"confidence": 100.0, "language": "de"}]
    assert detect("", []) == []


def detected(client: TestClient, **fields) -> object:
    answer = client.post("/detect", json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_server_detects_what_it_can_translate(client: TestClient):
    english, french = detect(SENTENCES["en"], ["en", "fr"]), detect(SENTENCES["fr"], ["en", "fr"])
    assert (english[0]["language"], french[0]["language"]) == ("en", "fr")
    assert detected(client, q=SENTENCES["en"]) == detected(client, q=[SENTENCES["en"]]) == english
    # As LibreTranslate's Python client sends it.
    assert client.post("/detect", data={"q": SENTENCES["fr"], "api_key": "any"}).json() == french
    assert {each["confidence"] for each in detected(client, q=[])} == {0.0}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_text_is_translated_from_the_language_that_is_detected(client: TestClient, language: str):
    word = {"en": "the dog", "fr": "égaux"}[language]  # the translator reads 16 letters
    [best, _] = detect(word, ["en", "fr"])
    assert best["language"] == language
    request = {"q": word, "target": "de", "alternatives": 1}
    given = client.post("/translate", json={**request, "source": language}).json()
    for source in ({"source": "auto"}, {}):
        assert client.post("/translate", json={**request, **source}).json() == {**given, "detectedLanguage": best}
    given = client.post("/translate", json={"q": [word, word], "source": language, "target": "de"}).json()
    answer = client.post("/translate", json={"q": [word, word], "source": "auto", "target": "de"}).json()
    twice = detect(f"{word}\n{word}", ["en", "fr"])[0]
    assert answer == {**given, "detectedLanguage": [twice, twice]}
    document = client.post("/translate", json={"q": f"<p>{word}", "source": "auto", "target": "de", "format": "html"})
    assert document.json()["detectedLanguage"] == best


def test_a_target_or_a_model_leaves_fewer_languages_of_the_same_confidence(client: TestClient):
    english, french = detect("the dog", ["en", "fr"])
    assert 0 < french["confidence"] < english["confidence"]
    for fields in ({"target": "it"}, {"target": "it", "model": "no-a"}, {"target": "de", "model": "no-a"}):
        answer = client.post("/translate", json={"q": "the dog", "source": "auto", **fields})
        assert answer.json()["detectedLanguage"] == french
    for possible, best in ((["xx", "de"], "de"), (["xx"], "xx")):
        found = detect_source(SENTENCES["en"] * 9, ["xx", "en", "de"], possible)
        assert found == {"confidence": 0.0, "language": best}


def test_languages_that_cannot_be_detected_must_be_named(translators: list[ServedTranslator]):
    [served, *_] = translators
    unknown = ServedTranslator("unknown", served.model, ("bod_Tibt", "xx"), ("de",))
    with TestClient(make_app(Service([unknown]))) as client:
        answer = client.post("/translate", json={"q": "abc", "source": "auto"})
        reason = "source: cannot be detected for languages such as bod_Tibt, xx; send it"
        assert (answer.status_code, answer.json()) == (400, {"error": reason})
        assert client.post("/translate", json={"q": "abc", "source": "xx"}).status_code == 200
        assert {each["confidence"] for each in detected(client, q="abc")} == {0.0}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "q: missing"),
        ({"q": 1}, "q = 1: must be a string or an array of strings"),
        ({"q": "a" * 101}, "q: has 101 characters; at most 100 are allowed"),
        ({"q": "a", "source": "en"}, "'source': is not a field of this request"),
    ],
)
def test_a_wrong_request_is_refused(client: TestClient, fields: dict, reason: str):
    answer = client.post("/detect", json=fields)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_a_server_without_translators_detects_nothing(writer: ServedGenerator):
    with TestClient(make_app(Service([], [writer]))) as client:
        answer = client.post("/detect", json={"q": "abc"})
        assert (answer.status_code, answer.json()) == (400, {"error": "no translation model is served"})
