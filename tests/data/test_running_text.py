"""Running text: what is split, encoded and batched is the text, each token where it belongs."""

import dataclasses
import gzip
import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data import held_out_text, running_text
from tfmr.data.corpora import lines
from tfmr.data.corpora.lines import find_files
from tfmr.data.prepare import prepare_pairs
from tfmr.data.running_text import prepare_running_text
from tfmr.data.text_batches import TextSplit, crop_batches, evaluation_batches_of_text
from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from tfmr.errors import InputError

WORDS = ["the", "old", "woman", "sees", "a", "small", "dog,", "Größe\n", "and\n", "\n", "won't", " 12", "no 3 ☃."]


GPT2 = str(Path(__file__).resolve().parents[1] / "interop" / "golden" / "gpt2" / "tokenizer.json")
"""A vocabulary whose one mark, 320, stands between documents, and in which the ids of our marks are characters."""


def some_text(words: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words)) + "\n"


@pytest.fixture
def make(tmp_path):
    """Makes a configuration of some texts, one a file."""

    def make(*texts: str, **options) -> RunningTextConfig:
        names = []
        for number, text in enumerate(texts):
            file = tmp_path / f"{number}.txt"
            if number % 2:
                file = tmp_path / f"{number}.txt.gz"
                file.write_bytes(gzip.compress(text.encode()))
            else:
                file.write_bytes(text.encode())
            names.append(str(file))
        usual = dict(cache=str(tmp_path / "cache"), vocab_size=300, max_length=16, tokens_per_batch=64)
        usual |= {} if "held_out_share" in options else dict(validation_share=0.1)
        return RunningTextConfig(**{"files": tuple(names), **usual, **options})

    return make


def documents(config: RunningTextConfig, split: str) -> list[tuple[str, bool]]:
    """Returns the documents, or parts of them, that are in a split, and whether each of them ends."""
    text = running_text._Text(config, find_files(config.files), find_files(config.validation_files))
    found, waiting = [], ""
    for part in running_text._splits(text)[split].parts():
        waiting += part.text
        if part.last:
            found.append((waiting, part.ends))
            waiting = ""
    assert not waiting
    return found


def decoded(text, tokenizer):
    return [tokenizer.decode(document[document != EOS_ID]) for document in text]


@pytest.mark.parametrize("tokenizer", ["bpe", "characters"])
def test_the_last_part_validates_and_nothing_is_lost(make, tokenizer):
    text = some_text(700)
    corpus = prepare_running_text(make(text, tokenizer=tokenizer))
    (train,), (validation,) = (decoded(corpus.split(name), corpus.tokenizer) for name in ("train", "validation"))
    assert len(train) == int(len(text) * 0.9)
    assert train + validation == text
    # One text: it neither begins nor ends.
    assert not any(EOS_ID in corpus.split(name).tokens for name in ("train", "validation"))


TEXTS = {
    "lines": some_text(2000).replace("\n ", "\n"),
    "paragraphs": "\n\n".join(f"The old woman sees {n} dogs, and  {n} cats." for n in range(300)),
    "one line": " ".join(f"won't see {n} dogs!" for n in range(700)),
    "no spaces": "".join(f"老婦人看到了{n}隻小狗,它們在跑。" for n in range(700)),
    "one word": "QUJDREVG" * 1500,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_pieces_that_are_encoded_alone_change_no_token(kind, make, monkeypatch):
    text = TEXTS[kind]
    tokenizer = Tokenizer.train("bpe", [text], 400, running_text=True)
    whole = tokenizer.encode(text)
    monkeypatch.setattr(running_text, "_PIECE", 200)
    pieces = [piece for piece, _ in running_text._pieces([running_text.Part(text, last=True)])]
    assert len(pieces) > 20
    assert max(map(len, pieces)) <= 300
    assert "".join(pieces) == text
    if kind == "one word":  # it has to be cut somewhere
        assert tokenizer.decode(running_text.encode_text(tokenizer, text)) == text
    else:
        np.testing.assert_array_equal(running_text.encode_text(tokenizer, text), whole)


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("separator", ["", "\n\n"])
def test_memory_does_not_grow_with_the_text(kind, separator, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "_CHUNK", 2000)
    monkeypatch.setattr(running_text, "_PIECE", 1000)
    peaks = []
    for times in (2, 8):
        (tmp_path / "text.txt").write_text(TEXTS[kind] * times, encoding="utf-8")
        config = RunningTextConfig(files=(str(tmp_path / "text.txt"),), document_separator=separator)
        text = running_text._Text(config, find_files(config.files), [])
        tracemalloc.start()
        size = sum(len(piece) for piece, _ in running_text._pieces(running_text._parts(text.files, separator)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert size > 0.9 * len(TEXTS[kind]) * times
    assert peaks[1] < 1.3 * peaks[0]
    assert peaks[1] < 100_000


def test_the_parts_in_which_a_file_is_read_change_nothing(make, monkeypatch):
    text = "\ufeff" + "\r\n".join(["a b", "", "Größe ☃", "<|end|>", "c\rd", "", "<|end|>", "<|end|>", "<|", "e|>"] * 20)
    config = make(text, document_separator="<|end|>", held_out_share=0.3)
    whole = {split: documents(config, split) for split in ("train", "validation")}
    assert ("<|\ne|>\na b\n\nGröße ☃", True) in whole["train"] + whole["validation"]
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(lines, "_CHUNK", size)
        assert {split: documents(config, split) for split in whole} == whole


def test_documents_of_several_files(make):
    first, second = "a b\n<|end|>\nc\n\nd<|end|>", "\n<|end|>e" * 20
    config = make(first, second, document_separator="<|end|>", tokenizer="characters")
    texts = [document for split in ("train", "validation") for document, _ in documents(config, split)]
    assert "".join(texts) == "a b" + "c\n\nd" + 20 * "e"
    corpus = prepare_running_text(config)
    assert decoded(corpus.split("train"), corpus.tokenizer)[:3] == ["a b", "c\n\nd", "e"]
    assert all(document[-1] == EOS_ID for name in ("train", "validation") for document in corpus.split(name))


def test_a_document_that_is_cut_ends_in_validation(make):
    config = make("a" * 10, "b" * 10, validation_share=0.25, tokenizer="characters")
    assert documents(config, "train") == [("a" * 10, True), ("b" * 5, False)]
    assert documents(config, "validation") == [("b" * 5, True)]
    config = dataclasses.replace(config, validation_share=0.5)
    assert documents(config, "train") == [("a" * 10, True)]
    assert documents(config, "validation") == [("b" * 10, True)]


def is_in_range(passage: str, share: float) -> bool:
    digest = hashlib.blake2b(passage.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64 < share


def test_documents_are_held_out_by_their_content(make):
    texts = [f"document {n}" for n in range(300)]
    config = make("\n".join(texts), document_separator="\n", held_out_share=0.1)
    for split, held_out in (("train", False), ("validation", True)):
        assert documents(config, split) == [(text, True) for text in texts if is_in_range(text, 0.1) == held_out]
    corpus = prepare_running_text(config)
    assert decoded(corpus.split("validation"), corpus.tokenizer) == [d for d, _ in documents(config, "validation")]


@pytest.mark.parametrize("kind", ["lines", "paragraphs"])
def test_a_passage_never_changes_sides(make, monkeypatch, kind):
    """Whatever is added before, between, or after, and in another order."""
    monkeypatch.setattr(held_out_text, "PASSAGE", 100)
    base = TEXTS["lines"] if kind == "lines" else "".join(f"Line {n}: {n * n}\n\n" for n in range(1000))
    third = len(base) // 3
    first, second, third = base[:third], base[third : 2 * third], base[2 * third :]
    sides: dict[str, set] = {}
    for text in (base, second, "new\n" + base, first + "new text\n" * 9 + third, third + second + first):
        splits = {split: documents(make(text, held_out_share=0.1), split) for split in ("train", "validation")}
        for split, found in splits.items():
            for document, _ in found:
                for line in filter(lambda line: "Line" in line, document.split("\n")[1:-1]):  # cut lines may be others
                    sides.setdefault(line, set()).add(split)
        trained = "".join(document for document, _ in splits["train"])
        validated = [document for document, _ in splits["validation"]]
        assert 0.02 * len(text) < len(text) - len(trained) < 0.3 * len(text)
        assert validated
        assert all(document in text for document in validated)
    if kind == "paragraphs":
        assert len(sides) > 900
        assert sum(len(split) > 1 for split in sides.values()) <= 30  # those beside an edit


def test_a_text_of_one_document_that_has_holes(make, monkeypatch):
    monkeypatch.setattr(held_out_text, "PASSAGE", 100)
    text = "".join(f"Line {n}: {n * n}\n" for n in range(1000))
    config = make(text, held_out_share=0.1)
    corpus = prepare_running_text(config)
    train, validation = (decoded(corpus.split(split), corpus.tokenizer) for split in ("train", "validation"))
    assert EOS_ID not in corpus.split("train").tokens
    assert len(train) > 5
    rest = text
    for part in train:  # in order
        assert part in rest
        rest = rest[rest.index(part) + len(part) :]
    assert sorted("".join([*train, *validation])) == sorted(text)


def test_of_much_text_a_bounded_part_validates(make, monkeypatch):
    monkeypatch.setattr(held_out_text, "MAX_HELD_OUT", 5)
    texts = [f"document {n}" for n in range(300)]
    config = make("\n".join(texts), document_separator="\n", held_out_share=0.1)
    assert documents(config, "train") == [(text, True) for text in texts if not is_in_range(text, 0.1)]
    assert len(documents(config, "validation")) == 5


def test_too_little_text_to_hold_out_is_refused(make):
    with pytest.raises(
        InputError, match=r"12 characters are too few .* data\.held_out_share \(now 0\.01\), set data\.valid"
    ):
        prepare_running_text(make("The old dog\n", held_out_share=0.01))


def test_patterns_name_documents(make, tmp_path):
    make("a b c" * 9, "d e f" * 9)
    config = RunningTextConfig(
        files=(str(tmp_path / "?.txt*"),), validation_share=0.1, cache=str(tmp_path / "cache"), tokenizer="characters"
    )
    assert documents(config, "train") == [("a b c" * 9, True), ("d e f" * 7 + "d", False)]
    assert EOS_ID in prepare_running_text(config).split("train").tokens


def test_files_to_validate_on(make, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("xyz" * 10, encoding="utf-8")
    config = make("a b c\r\n" * 10, validation_files=(str(other),), tokenizer="characters")
    corpus = prepare_running_text(config)
    assert decoded(corpus.split("train"), corpus.tokenizer) == ["a b c\n" * 10]
    assert len(corpus.split("validation").tokens) == 30


def predicted(text, arrays, single: bool = False):
    """Checks the arrays of a batch against the text; returns the numbers of the tokens that it predicts.

    The texts of these tests are 0, 1, 2, ... (without the marks), so that a token tells its number.
    """
    found = []
    outputs, inputs = arrays["target_output"], arrays["target_input"]
    segments, positions = arrays["target_segments"], arrays["target_positions"]
    assert outputs.dtype == np.int32
    assert ((segments == 0) <= (outputs == PAD_ID)).all()
    for row in range(len(outputs)):
        for segment in range(1, segments[row].max() + 1):
            inside = np.flatnonzero(segments[row] == segment)
            np.testing.assert_array_equal(positions[row, inside], np.arange(len(inside)))
            np.testing.assert_array_equal(np.diff(inside), 1)
            for place in inside[outputs[row, inside] >= 0]:
                number = np.flatnonzero(text.tokens == outputs[row, place])
                number = number[0] if single else number
                begins = single and number in text.offsets
                assert inputs[row, place] == (BOS_ID if begins else outputs[row, place] - 1)
                found.append((int(number), int(positions[row, place])))
    return found


@pytest.fixture
def counting():
    """A text of the tokens 4, 5, 6, ..., so that each of them is there once, in one document."""
    return TextSplit(np.arange(4, 4 + 203), np.array([0, 203]))


def epochs(text, config):
    plan = text.plan(config)
    for epoch in (0, 1, 0):
        yield [text.arrays(batch) for batch in plan.epoch(epoch)]


def test_blocks_predict_each_token_once_an_epoch(counting):
    first, second, again = epochs(counting, RunningTextConfig(max_length=16, tokens_per_batch=64, batching="blocks"))
    for batches in (first, second):
        found = [number for batch in batches for number, _ in predicted(counting, batch, single=True)]
        assert sorted(found) == list(range(203))
        assert {batch["target_input"].shape for batch in batches} == {(4, 16)}
    assert any((a["target_output"] != b["target_output"]).any() for a, b in zip(first, second, strict=False))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a["target_output"], b["target_output"])


def test_crops_are_whole_rows_from_anywhere(counting):
    first, second, _ = epochs(counting, RunningTextConfig(max_length=16, tokens_per_batch=64, batching="crops"))
    assert len(first) == 4  # as many as the text would fill
    starts = []
    for batch in (*first, *second):
        assert (batch["target_segments"] == 1).all()
        found = predicted(counting, batch, single=True)
        assert [position for _, position in found] == 4 * list(range(16))
        starts += [number for number, position in found if position == 0]
    assert len(set(starts)) > 20


@pytest.mark.parametrize("stride", [0, 5])
def test_evaluation_predicts_each_token_once_in_a_stated_context(counting, stride):
    config = RunningTextConfig(max_length=16, tokens_per_batch=64)
    batches = list(evaluation_batches_of_text(counting, config, stride=stride, rows_multiple=8))
    assert all(len(batch["target_input"]) % 8 == 0 for batch in batches)
    found = [place for batch in batches for place in predicted(counting, batch, single=True)]
    assert [number for number, _ in found] == list(range(203))
    for number, position in found:
        assert position == number if number < 16 else position >= (16 - stride if stride else 0)


def test_crops_for_evaluation_are_always_the_same(counting):
    config = RunningTextConfig(max_length=16, tokens_per_batch=64, evaluation_crops=7)
    one, two = (list(crop_batches(counting, config)) for _ in range(2))
    found = [place for batch in one for place in predicted(counting, batch, single=True)]
    assert [position for _, position in found] == 7 * list(range(16))
    np.testing.assert_array_equal(one[0]["target_output"], two[0]["target_output"])


@pytest.mark.parametrize(
    ("tokenizer_file", "begin", "end"), [("", BOS_ID, EOS_ID), (GPT2, 320, 320)], ids=["ours", "gpt2"]
)
def test_packed_documents_are_whole_and_apart(make, tokenizer_file, begin, end):
    texts = [some_text(words, seed) for seed, words in enumerate([1, 2, 3, 30, 4, 2, 1, 5, 9, 2, 7, 1, 3])]
    texts[0] = '! "#$'  # the first tokens of GPT-2's
    config = make(*texts, batching="packed", validation_share=0.01, tokenizer_file=tokenizer_file)
    text = prepare_running_text(config).split("train")
    assert text.lengths.max() > 16
    assert all(document[-1] == end for document in list(text)[:-1])  # the last is cut
    assert (text[0][0] == 0) == (end == 320)
    for batches in epochs(text, config):
        parts = []
        for batch in batches:
            for row in range(len(batch["target_output"])):
                for segment in range(1, batch["target_segments"][row].max() + 1):
                    inside = batch["target_segments"][row] == segment
                    parts.append((batch["target_input"][row, inside], batch["target_output"][row, inside]))
        expected = []
        for document in text:
            before = np.array([begin, *document[:-1]])
            expected += [(before[i : i + 16], document[i : i + 16]) for i in range(0, len(document), 16)]
        as_lists = [sorted((a.tolist(), b.tolist()) for a, b in found) for found in (parts, expected)]
        assert as_lists[0] == as_lists[1]
    rows = sum(len(batch["target_output"]) for batch in batches)
    assert rows < len(expected)


def test_a_vocabulary_without_our_marks_is_not_for_translation(make):
    with pytest.raises(InputError, match="it can be used for running text only"):
        prepare_pairs(PairsConfig(tokenizer_file=GPT2, cache=make("a").cache))


def test_a_host_gets_its_rows(counting):
    config = RunningTextConfig(max_length=16, tokens_per_batch=64)
    batch = counting.plan(config).epoch(0)[0]
    whole = counting.arrays(batch, rows_multiple=3)
    part = counting.arrays(batch, rows_multiple=3, rows_of=lambda rows: [1, rows - 1])
    for name, array in whole.items():
        assert len(array) == 6
        np.testing.assert_array_equal(part[name], array[[1, 5]])


def test_files_that_change_while_they_are_read_are_refused(make, monkeypatch, tmp_path):
    config = make(some_text(50))
    write_split = running_text._write_split

    def change_and_write(*arguments):
        Path(config.files[0]).write_text(some_text(51), encoding="utf-8")
        return write_split(*arguments)

    monkeypatch.setattr(running_text, "_write_split", change_and_write)
    with pytest.raises(InputError, match=r"0\.txt: the files changed while they were being read; try again"):
        prepare_running_text(config)
    assert list((tmp_path / "cache" / "prepared").iterdir()) == []


def test_what_is_refused(make, tmp_path):
    lines = Tokenizer.train("bpe", ["a b"], 300)
    lines.save(tmp_path / "lines.json")
    for text, options, message in (
        ("a", dict(files=()), r"data\.files = \(\): must name at least one text file"),
        ("a", dict(files=(str(tmp_path / "none.txt"),)), r"none\.txt: no such file"),
        ("a", {}, r"0\.txt: no text is left for training"),
        ("a", dict(files=(str(tmp_path / "none*.txt"),)), r"none\*\.txt: no file matches this pattern"),
        ("a b c", dict(tokenizer_file=str(tmp_path / "lines.json")), r"lines\.json': adds a space before each line"),
    ):
        with pytest.raises(InputError, match=message):
            prepare_running_text(make(text, **options))
    (tmp_path / "bad.txt").write_bytes(b"abc\xff")
    with pytest.raises(InputError, match=r"bad\.txt: is not UTF-8: byte 4 is 0xff"):
        prepare_running_text(dataclasses.replace(make("a b"), files=(str(tmp_path / "bad.txt"),)))
    config = make("a b c " * 3, tokenizer="characters", max_length=20)
    with pytest.raises(
        InputError, match=r"data\.max_length = 20: must be at most 16, the number of tokens in the training text"
    ):
        prepare_running_text(config).split("train").plan(config)
