"""Models of many languages: golden/nllb and its like, imported and used."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfmr.cli import _dispatch
from tfmr.config import PairsConfig
from tfmr.data.pairs import encode_pairs, evaluation_batches
from tfmr.data.prepare import prepare_pairs
from tfmr.data.tags import Tags
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.runs import load_run
from tfmr.translation import Translator

GOLDEN = Path(__file__).resolve().parent / "golden"
LINES = ["The sun shines.", "Why has she read your books?"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """The run directory of a small NLLB."""
    folder = str(tmp_path_factory.mktemp("imported") / "run")
    _dispatch(["import", str(GOLDEN / "nllb"), folder])
    return folder


@pytest.fixture(scope="module")
def translator(run) -> Translator:
    decoding = dataclasses.replace(load_run(run)[0].decoding, beam_size=4, max_length=20)
    return Translator.from_run(run, config=decoding)


def tokenizer_of(name, tmp_path) -> Tokenizer:
    _dispatch(["import", str(GOLDEN / name), str(tmp_path / "run")])
    return load_run(tmp_path / "run")[1]


def test_the_languages_of_a_translation_can_be_chosen(translator):
    codes = translator.tokenizer.tags.languages
    german, korean = (translator.with_languages(target_lang=code).n_best(LINES, 1) for code in ("deu_Latn", "kor_Hang"))
    assert [best.tokens[0] for (best,) in german] == [codes["deu_Latn"]] * 2
    assert [best.tokens[0] for (best,) in korean] == [codes["kor_Hang"]] * 2
    assert translator.translate(LINES, target_lang="kor_Hang") == [best.text for (best,) in korean]
    assert translator.translate(LINES) == [best.text for (best,) in german]
    assert translator.translate(LINES) != translator.translate(LINES, source_lang="kor_Hang")
    assert not any(code in best.text for (best,) in german + korean for code in codes)


def test_a_prefix_follows_the_language(translator):
    [(best,)] = translator.n_best(LINES[:1], 1, ["Ein Kind"])
    prefix = translator.tokenizer.encode("Ein Kind")
    assert list(best.tokens[: len(prefix) + 1]) == [translator.tokenizer.tags.languages["deu_Latn"], *prefix]
    assert best.text.startswith("Ein Kind")


def test_the_score_of_a_translation_is_that_of_decoding(translator):
    found = [best for (best,) in translator.n_best(LINES, 1)]
    scores = translator.score(LINES, [list(best.tokens) for best in found])
    for best, score in zip(found, scores, strict=True):
        assert score.score == pytest.approx(best.score, abs=1e-5)
        assert len(score.token_log_probs) == len(best.tokens)


def test_pairs_for_training_and_evaluation_have_the_languages(translator):
    tokenizer = translator.tokenizer
    codes = tokenizer.tags.languages
    [batch] = evaluation_batches(encode_pairs(tokenizer, LINES[:1], ["Die Sonne scheint."]))
    source, target = tokenizer.encode(LINES[0]), tokenizer.encode("Die Sonne scheint.")
    row = {name: [token for token in x[0].tolist() if token != PAD_ID] for name, x in batch.items()}
    assert row["source"] == [codes["eng_Latn"], *source, EOS_ID]
    assert row["target_output"] == [codes["deu_Latn"], *target, EOS_ID]
    assert row["target_input"] == [BOS_ID, codes["deu_Latn"], *target]


def test_a_language_can_be_added(translator):
    tokenizer = translator.tokenizer
    larger = tokenizer.with_tokens(["tyv_Cyrl"])
    number = tokenizer.vocab_size
    assert larger.vocab_size == number + 1
    assert larger.tags.languages == {**tokenizer.tags.languages, "tyv_Cyrl": number}
    assert larger.encode("a tyv_Cyrl b") == tokenizer.encode("a tyv_Cyrl b")  # it is not text
    again = Tokenizer.from_json(larger.to_json()).with_languages(target="tyv_Cyrl")
    assert again.target_sequence([7]) == [number, 7, EOS_ID]
    assert again.decode([number, *tokenizer.encode("the sun")]) == "the sun"
    for token, message in (
        ("deu_Latn", "is already a token of the tokenizer"),
        ("word", "only the name of a language"),
    ):
        with pytest.raises(InputError, match=f"new_tokens: '{token}' .*{message}"):
            tokenizer.with_tokens([token])


def test_a_corpus_is_prepared_with_the_languages(run, tmp_path):
    own = dict(corpus="grammar", grammar_size=20, cache=str(tmp_path), tokenizer_file=f"{run}/tokenizer.json")
    codes = load_run(run)[1].tags.languages
    for named, expected in ((("en", "de"), ("eng_Latn", "deu_Latn")), (("eng_Latn", "kor_Hang"),) * 2):
        languages: dict = dict(zip(("source_language", "target_language"), named, strict=True))
        if named[1] == "kor_Hang":
            languages |= dict(corpus="text", source_file=str(tmp_path / "pairs.tsv"), held_out_share=0.3)
            (tmp_path / "pairs.tsv").write_text("".join(f"the sun {i}\tdie Sonne {i}\n" for i in range(40)))
        split = prepare_pairs(PairsConfig(**{**own, **languages})).split("train")
        assert [int(side[0][0]) for side in (split.source, split.target)] == [codes[code] for code in expected]
        assert [int(side[0][-1]) for side in (split.source, split.target)] == [EOS_ID] * 2


def test_a_long_line_keeps_its_language_and_its_end(run, caplog):
    decoding = dataclasses.replace(load_run(run)[0].decoding, beam_size=1, max_length=4, max_source_length=6)
    translator = Translator.from_run(run, config=decoding)
    cut = translator.translate(["The sun shines and shines."])
    assert "only the first 4 are translated" in caplog.text
    kept = translator.tokenizer.decode(translator.tokenizer.encode("The sun shines and shines.")[:4])
    assert translator.tokenizer.encode(kept) == translator.tokenizer.encode("The sun shines and shines.")[:4]
    assert translator.translate([kept]) == cut


def test_the_command_translates_between_the_languages_that_are_named(run, translator, tmp_path):
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in LINES))
    options = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--decoding.max-length", "20"]
    _dispatch(["translate", run, *options, "--source-lang", "deu_Latn", "--target-lang", "kor_Hang"])
    expected = translator.translate(LINES, source_lang="deu_Latn", target_lang="kor_Hang")
    assert (tmp_path / "out").read_text().splitlines() == expected
    for option, message in (
        (["--target-lang", "kor_Hand"], "target_lang = 'kor_Hand': is not a language of this model (did you mean 'kor"),
        (["--source-lang", "xx"], "source_lang = 'xx': is not a language of this model; the languages are deu_Latn, "),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            _dispatch(["translate", run, *options, *option])


def test_a_model_without_a_default_language_asks_for_it(tmp_path):
    folder = Path(shutil.copytree(GOLDEN / "nllb", tmp_path / "nllb"))
    for name in ("tokenizer_config.json", "generation_config.json"):
        values = json.loads((folder / name).read_text())
        left = {key: value for key, value in values.items() if key not in ("tgt_lang", "forced_bos_token_id")}
        (folder / name).write_text(json.dumps(left))
    _dispatch(["import", str(folder), str(tmp_path / "run")])
    (tmp_path / "in").write_text("The sun\n")
    translate = ["translate", str(tmp_path / "run"), "--input", str(tmp_path / "in")]
    with pytest.raises(
        InputError, match="target_lang: missing; this model needs the language of its targets; the lang"
    ):
        _dispatch(translate)
    _dispatch(["import", str(folder), str(tmp_path / "german"), "--target-lang", "deu_Latn"])
    config, tokenizer, _ = load_run(tmp_path / "german")
    assert isinstance(config.data, PairsConfig)
    assert (config.data.source_language, config.data.target_language) == ("eng_Latn", "deu_Latn")
    tokenizer.tags.check()


@pytest.mark.parametrize("name", ["nllb", "m2m100", "bart", "mbart50", "mbart"])
def test_special_tokens_are_never_read_from_text(name, tmp_path):
    if name == "m2m100":
        pytest.importorskip("sentencepiece")
    tokenizer = tokenizer_of(name, tmp_path)
    names = [*tokenizer.tags.languages, "<pad>", "</s>", "<s>", "<mask>", "__de__"]
    found = {token for text in names for token in tokenizer.encode(f"a {text} b {text}")}
    unknown = 1
    assert not found & ({PAD_ID, BOS_ID, EOS_ID, *tokenizer.tags.control} - {unknown})
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.encode("the sun") == tokenizer.encode("the sun")
    assert (again.tags, again.fingerprint) == (tokenizer.tags, tokenizer.fingerprint)


def test_a_model_that_starts_with_a_language_writes_that_one_only(tmp_path):
    tokenizer = tokenizer_of("mbart", tmp_path)
    english, romanian = (tokenizer.tags.languages[code] for code in ("en_XX", "ro_RO"))
    assert tokenizer.source_sequence([7, 8]) == [7, 8, EOS_ID, english]
    assert tokenizer.with_languages("ro_RO").source_sequence([7]) == [7, EOS_ID, romanian]
    assert tokenizer.target_sequence([9]) == [9, EOS_ID]
    assert tokenizer.with_languages(target="ro_RO").tags == tokenizer.tags
    with pytest.raises(InputError, match="target_lang = 'de_DE': this model writes ro_RO only"):
        tokenizer.with_languages(target="de_DE")


def test_a_model_without_languages_has_none_to_choose(tmp_path):
    tokenizer = tokenizer_of("bart", tmp_path)
    with pytest.raises(InputError, match="source_lang = 'en': this model has no languages to choose from"):
        tokenizer.with_languages("en")
    begin = tokenizer.source_sequence([7])[0]
    assert tokenizer.target_sequence([7]) == [begin, 7, EOS_ID]


@pytest.mark.parametrize("values", [[], {"source_before": 3}, {"unknown": 1}, {"source": "en"}])
def test_damaged_tags_are_named(values):
    with pytest.raises(InputError, match=r"^some\.json: its tags are damaged .*; import the model again"):
        Tags.from_json(values, "some.json")


def test_word_rules_do_not_see_languages(translator):
    pieces = translator.tokenizer.pieces()
    assert not any(pieces[number] for number in translator.tokenizer.tags.languages.values())
    texts = translator.tokenizer.token_texts(np.array(list(translator.tokenizer.tags.languages.values())))
    assert texts == list(translator.tokenizer.tags.languages)
