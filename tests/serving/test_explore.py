"""What the page shows, against the paper's formulas in float64 and against the public translator and generator."""

import base64
import functools
import json

import jax.numpy as jnp
import numpy as np
import pytest
import reference
import small_translators
from reference import double, random_parameters
from scipy.special import log_softmax, softmax
from small_translators import true_log_probs

from tfmr.analysis import sentence_attention
from tfmr.config import CausalLMConfig, DecodingConfig, SamplingConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.models import CausalLM
from tfmr.runs import RunDirectory
from tfmr.serving import ServedGenerator, ServedTranslator
from tfmr.serving.explore import (
    compare_searches,
    continue_text,
    describe_generator,
    describe_translator,
    explore_translation,
    learning_curves,
    parameter_parts,
    sentences,
)
from tfmr.serving.explore.texts import TEMPERATURES
from tfmr.translation import search_batch

LINE = "abcd efg"
DECODING = DecodingConfig(beam_size=4, extra_length=4, min_length=5, alpha=0.8)


@functools.cache
def translator(**changes):
    return small_translators.make_translator(DECODING, letters="abcdefghij ", **changes)


@functools.cache
def explored():
    return explore_translation(translator(), LINE)


def target_of(found) -> list[int]:
    return [place["id"] for place in found["places"]]


class TestTranslation:
    def test_the_alternatives_are_those_of_the_translator(self):
        [expected] = translator().n_best([LINE], DECODING.beam_size)
        found = explored()["alternatives"]
        assert [each["text"] for each in found] == [each.text for each in expected]
        assert [tuple(each["tokens"]) for each in found] == [each.tokens for each in expected]
        np.testing.assert_allclose([each["score"] for each in found], [each.score for each in expected], atol=1e-5)
        assert explored()["text"] == expected[0].text
        assert target_of(explored()) == found[0]["tokens"]

    def test_each_place_has_the_models_probabilities(self):
        source = [token["id"] for token in explored()["source"]]
        target = target_of(explored())
        expected = true_log_probs(translator(), source, target)
        np.testing.assert_allclose([place["log_prob"] for place in explored()["places"]], expected, atol=1e-4)
        # One of the candidates in the place of the token, by the same formulas.
        for position in (0, len(target) - 1):
            candidates = explored()["places"][position]["candidates"]
            log_probs = [each["log_prob"] for each in candidates]
            assert log_probs == sorted(log_probs, reverse=True)
            assert not {each["id"] for each in candidates} & {PAD_ID, BOS_ID}
            for candidate in candidates[:3]:
                other = [*target[:position], candidate["id"]]
                assert true_log_probs(translator(), source, other)[-1] == pytest.approx(candidate["log_prob"], abs=1e-4)

    def test_the_attention_is_that_of_every_layer_and_head(self):
        expected = sentence_attention(translator(), LINE, explored()["text"]).weights
        names = {"encoder": "encoder/layer_{}/self_attention", "decoder": "decoder/layer_{}/self_attention"}
        names["cross"] = "decoder/layer_{}/cross_attention"
        assert set(explored()["attention"]) == set(names)
        for stack, name in names.items():
            packed = explored()["attention"][stack]
            shape = [packed[each] for each in ("layers", "heads", "queries", "keys")]
            weights = np.frombuffer(base64.b64decode(packed["weights"]), np.uint8).reshape(shape) / 255
            assert shape[0] == {"encoder": 1}.get(stack, 2)
            for layer in range(shape[0]):
                np.testing.assert_allclose(weights[layer], expected[name.format(layer)], atol=0.5 / 255 + 1e-5)

    def test_a_chosen_token_is_kept_and_the_rest_is_written_anew(self):
        other = explored()["places"][1]["candidates"][1]["id"]
        prefix = [*target_of(explored())[:1], other]
        found = explore_translation(translator(), LINE, prefix)
        assert (found["given"], target_of(found)[:2]) == (2, prefix)
        [(best, *_)] = translator().n_best([LINE], DECODING.beam_size, [prefix])
        assert target_of(found) == list(best.tokens)

    def test_a_prefix_that_ends_is_the_translation(self):
        second = explored()["alternatives"][1]
        found = explore_translation(translator(), LINE, second["tokens"])
        assert (found["text"], len(found["alternatives"])) == (second["text"], 1)
        assert found["alternatives"][0]["score"] == pytest.approx(second["score"], abs=1e-5)

    def test_a_recurrent_decoder_has_no_attention_to_itself(self):
        found = explore_translation(translator(decoder_recurrence="ssru", num_decoder_layers=1), LINE)
        assert set(found["attention"]) == {"encoder", "cross"}

    def test_a_long_line_is_translated_without_pictures(self, monkeypatch):
        monkeypatch.setattr(sentences, "MOST_DRAWN", len(explored()["source"]) - 1)
        found = explore_translation(translator(), LINE)
        assert (found["attention"], found["text"]) == (None, explored()["text"])

    @pytest.mark.parametrize(
        ("line", "prefix", "message"),
        [
            (" \n", [], "must not be blank"),
            ("a" * 300, [], r"301 tokens: must have at most 256 to be explored"),
            (LINE, [4, 10_000], "token id 10000 in the prefix: must be from 0 to"),
            (LINE, [EOS_ID, 5], "token id 3 in the prefix"),
            (LINE, [5] * 40, "its prefix .*limited to"),
        ],
    )
    def test_what_is_refused(self, line, prefix, message):
        with pytest.raises(InputError, match=message):
            explore_translation(translator(), line, prefix)


class TestSearches:
    def test_each_search_finds_what_the_translator_finds(self):
        found = compare_searches(translator(), LINE, beam_size=4, alpha=0.2, temperature=0.7, top_p=0.9, seed=5)
        config = dict(extra_length=4, min_length=5, alpha=0.2)
        sampling = SamplingConfig(temperature=0.7, top_p=0.9, seed=5)
        for name, decoding, number in (
            ("greedy", DecodingConfig(beam_size=1, **config), 1),
            ("beam", DecodingConfig(beam_size=4, **config), 4),
            ("samples", DecodingConfig(sampling=sampling, **config), 4),
        ):
            each = small_translators.make_translator(decoding, letters="abcdefghij ")
            [expected] = each.n_best([LINE], number)
            assert [tuple(token["id"] for token in output["tokens"]) for output in found[name]] == [
                hypothesis.tokens for hypothesis in expected
            ]
        for output in found["beam"]:
            assert output["log_prob"] == pytest.approx(sum(token["log_prob"] for token in output["tokens"]), abs=1e-4)

    def test_the_tree_ends_in_what_the_beam_finds(self):
        found = compare_searches(translator(), LINE, beam_size=4, alpha=0.2)
        nodes, outputs = found["tree"]["nodes"], found["tree"]["outputs"]
        for output, index in zip(found["beam"], outputs, strict=True):
            path = []
            assert nodes[index]["score"] == pytest.approx(output["score"], abs=1e-5)
            while index >= 0:
                path.append(nodes[index]["token"]["id"])
                index = nodes[index]["parent"]
            assert path[::-1] == [token["id"] for token in output["tokens"]]
        for node in nodes:
            assert node["depth"] == (nodes[node["parent"]]["depth"] + 1 if node["parent"] >= 0 else 1)
        places = [(node["depth"], node["row"]) for node in nodes]
        assert len(set(places)) == len(places)

    def test_another_number_compiles_nothing(self):
        usual = dict(beam_size=4, alpha=0.2, temperature=0.7, top_p=0.9)
        compare_searches(translator(), LINE, **usual)
        before = search_batch.search_batch._cache_size()
        for change in ({"alpha": 1.3}, {"temperature": 1.7}, {"top_p": 0.4}, {"seed": 9}):
            compare_searches(translator(), LINE, **{**usual, **change})
        assert search_batch.search_batch._cache_size() == before

    @pytest.mark.parametrize(
        ("settings", "message"),
        [({"beam_size": 5}, "beam_size = 5"), ({"samples": 99}, "samples = 99"), ({"temperature": 0.0}, "temperature")],
    )
    def test_what_is_refused(self, settings, message):
        with pytest.raises(InputError, match=message):
            compare_searches(translator(), LINE, **settings)


LETTERS = Tokenizer.train("characters", ["abcdefgh \n"], 40)
SHAPE = dict(num_layers=2, d_model=16, d_ff=24, num_heads=2, d_k=8, d_v=8, max_length=24)


@functools.cache
def generator(has_documents: bool = False) -> Generator:
    config = CausalLMConfig(vocab_size=LETTERS.vocab_size + 3, **SHAPE)  # three ids that the tokenizer does not have
    model = CausalLM(config)
    params = random_parameters(model, jnp.zeros((1, 4), jnp.int32))
    return Generator(model, params, LETTERS, has_documents=has_documents)


def true_logits(tokens, has_documents=False) -> np.ndarray:
    """What follows each token, among the tokens that may be written, in float64."""
    each = generator(has_documents)
    logits = reference.causal_lm(double(each.params), each.model.config, np.array(tokens))
    banned = [PAD_ID, UNK_ID, BOS_ID, *range(LETTERS.vocab_size, logits.shape[1])]
    logits[:, [*banned, *([] if has_documents else [EOS_ID])]] = -np.inf
    return logits


class TestText:
    TOKENS = LETTERS.encode("bad cab\nfed")

    def test_the_probabilities_are_the_models(self):
        found = continue_text(generator(), self.TOKENS)
        log_probs = log_softmax(true_logits(self.TOKENS), axis=1)
        expected = [0.0, *(log_probs[index, token] for index, token in enumerate(self.TOKENS[1:]))]
        np.testing.assert_allclose([token["log_prob"] for token in found["tokens"]], expected, atol=1e-4)
        assert len(found["distributions"]) == len(self.TOKENS)
        for row, distribution in zip(log_probs, found["distributions"], strict=True):
            for candidate in distribution["candidates"]:
                assert candidate["log_prob"] == pytest.approx(row[candidate["id"]], abs=1e-4)

    def test_the_distribution_at_each_temperature_can_be_computed(self):
        distribution = continue_text(generator(), self.TOKENS)["distributions"][-1]
        logits = true_logits(self.TOKENS)[-1]
        for temperature, normaliser in zip(TEMPERATURES, distribution["log_normalisers"], strict=True):
            expected = softmax(logits / temperature)
            for each in distribution["candidates"]:
                found = np.exp(each["log_prob"] / temperature - normaliser)
                assert found == pytest.approx(expected[each["id"]], rel=5e-3, abs=1e-6)

    def test_only_what_is_asked_for_is_returned(self):
        whole = continue_text(generator(), self.TOKENS)
        part = continue_text(generator(), self.TOKENS, first=9)
        assert (part["first"], len(part["tokens"]), len(part["distributions"])) == (9, 2, 2)
        for name in ("tokens", "distributions"):
            for found, expected in zip(part[name], whole[name][9:], strict=True):
                assert found.keys() == expected.keys()
        assert part["tokens"][1]["log_prob"] == pytest.approx(whole["tokens"][10]["log_prob"], abs=1e-5)

    def test_the_drawn_tokens_follow_the_settings(self):
        probabilities = softmax(true_logits(self.TOKENS)[-1])
        best = int(probabilities.argmax())
        draw = functools.partial(continue_text, generator(), self.TOKENS, first=len(self.TOKENS) - 1)
        assert draw(temperature=0.0)["drawn"]["id"] == best
        assert {draw(top_p=0.01, seed=seed)["drawn"]["id"] for seed in range(5)} == {best}
        drawn = [draw(temperature=2.0, seed=seed)["drawn"]["id"] for seed in range(40)]
        assert len(set(drawn)) > 4
        assert drawn == [draw(temperature=2.0, seed=seed)["drawn"]["id"] for seed in range(40)]

    def test_a_full_context_and_an_end_draw_nothing(self):
        full = continue_text(generator(), [5] * 24, first=23)
        assert (full["drawn"], full["context"], full["ended"]) == (None, 24, False)
        ended = continue_text(generator(has_documents=True), [BOS_ID, 5, EOS_ID])
        assert (ended["drawn"], ended["ended"]) == (None, True)
        assert ended["tokens"][2]["log_prob"] == pytest.approx(
            log_softmax(true_logits([BOS_ID, 5, EOS_ID], True), axis=1)[1, EOS_ID], abs=1e-4
        )

    @pytest.mark.parametrize(
        ("tokens", "first", "message"),
        [
            ([], 0, "text of 0 tokens: must have from 1 to 24"),
            ([5] * 25, 0, "text of 25 tokens"),
            ([5, 99], 0, "token id 99"),
            ([5], 1, "first = 1"),
        ],
    )
    def test_what_is_refused(self, tokens, first, message):
        with pytest.raises(InputError, match=message):
            continue_text(generator(), tokens, first=first)


class TestModel:
    def test_the_parts_are_all_parameters(self):
        parts = parameter_parts(translator().model.config)
        assert parts["total"] == sum(x.size for x in _leaves(translator().params)) == sum(parts["parts"].values())

    def test_the_curves_are_those_of_the_run(self, tmp_path):
        run = RunDirectory(tmp_path)
        assert learning_curves(run) == {"panels": []}
        lines = [{"step": step, "cross_entropy": 5.0 / step} for step in range(1, 2501)]
        lines.append({"step": 2500, "validation/loss": 0.5, "validation/bleu": 12.0})
        run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        loss, bleu = learning_curves(run)["panels"]
        assert loss["training"]["steps"] == list(range(1, 2501, 3))
        assert loss["training"]["values"][1] == 5.0 / 4
        assert loss["validation"] == {"steps": [2500], "values": [0.5]}
        assert (bleu["title"], bleu["training"]) == ("validation BLEU", None)

    def test_a_model_is_described_with_sentences_to_try(self, tmp_path):
        run = RunDirectory(tmp_path)
        run.write_text_split("test", ["a", "b" * 90, "cc d"], ["x", "y", "z"])
        found = describe_translator(ServedTranslator("letters", translator(), ("en",), ("de",), run))
        assert (found["name"], found["kind"], found["source"], found["target"]) == (
            "letters",
            "translation",
            "en",
            "de",
        )
        assert found["examples"] == ["a", "cc d"]
        assert found["decoding"] == {"beam_size": 4, "alpha": 0.8}
        described = describe_generator(ServedGenerator("text", generator()))
        assert (described["kind"], described["examples"]) == ("language_model", [])
        json.dumps([found, described])


class TestRequests:
    @pytest.mark.parametrize(
        ("path", "body", "status", "message"),
        [
            ("translation", {"line": "ab"}, 400, "model: missing"),
            ("translation", {"model": "nobody", "line": "ab"}, 404, "model = 'nobody': is not served"),
            ("translation", {"model": "writer", "line": "ab"}, 404, "model = 'writer': is not served"),
            (
                "translation",
                {"model": "letters", "line": "ab", "prefix": ["a"]},
                400,
                "must be an array of whole numbers",
            ),
            ("translation", {"model": "letters", "line": "ab", "prefix": [-1]}, 400, "none negative"),
            ("translation", {"model": "letters", "line": " "}, 400, "must not be blank"),
            ("translation", {"model": "letters", "line": "a" * 101}, 400, "101 characters"),
            ("searches", {"model": "letters", "line": "ab", "beam_size": 7}, 400, "beam_size = 7"),
            ("searches", {"model": "letters", "line": "ab", "top_p": 2}, 400, "top_p = 2: must be from 0.01 to 1"),
            ("text", {"model": "letters", "text": "ab"}, 404, "model = 'letters': is not served"),
            ("text", {"model": "writer"}, 400, "must not be empty"),
            ("text", {"model": "writer", "tokens": [999]}, 400, "token id 999"),
            ("text", {"model": "writer", "text": "ab", "speed": 1}, 400, "is not a field of this request"),
        ],
    )
    def test_what_is_wrong_is_said(self, client, path, body, status, message):
        answer = client.post(f"/page/{path}", json=body)
        assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text

    def test_the_models_and_the_choices_are_listed(self, client):
        answer = client.get("/page/models").json()
        assert [each["name"] for each in answer["models"]] == ["letters", "no-a", "writer"]
        assert answer["choices"]["temperature"] == list(TEMPERATURES)
        assert client.get("/page/model?model=writer").json()["panels"] == []
        assert client.get("/page/model?model=x").status_code == 404

    def test_the_files_of_the_page_come_from_the_package(self, client):
        assert client.get("/").text.startswith("<!doctype html>")
        assert "javascript" in client.get("/app.js").headers["content-type"]
        assert client.get("/../app.py").status_code == 404


def _leaves(tree):
    return [leaf for value in tree.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]
