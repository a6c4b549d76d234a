"""Preparing: token arrays that decode to the corpus, found again by content, never read half-written."""

import json
import logging
import re
import time

import numpy as np
import pytest

from tfmr.config import PairsConfig
from tfmr.data import chunks, progress, tokenizer, tokenizer_training
from tfmr.data import prepare as prepare_module
from tfmr.data.prepare import PreparedPairs, prepare_pairs
from tfmr.data.token_arrays import TokenArrays, TokenWriter
from tfmr.data.tokenizer import EOS_ID, UNK_ID, Tokenizer
from tfmr.errors import InputError

PAIRS = [
    (f"the  dog number {n} sees {n % 7} cats", f"der Hund Nummer {n}\u2028 sieht {n % 7} Katzen") for n in range(60)
]
TRAIN = [*PAIRS, ("", "leer"), ("empty", " \t\u200b\u00ad"), *PAIRS[:5]]
SPLITS = {"train": TRAIN, "validation": [*PAIRS[:3], ("", "")], "test": [*PAIRS[3:5], ("x", ""), ("🤖", "\u0001")]}


def write_corpus(folder, splits):
    folder.mkdir(exist_ok=True)
    for split, pairs in splits.items():
        for side, language in enumerate(("en", "de")):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8", newline="\n")


@pytest.fixture
def make(tmp_path):
    """Returns the PairsConfig of a small text corpus, its own cache, and what a test changes."""
    write_corpus(tmp_path / "corpus", SPLITS)
    values = {"corpus": "text", "dir": str(tmp_path / "corpus"), "cache": str(tmp_path / "cache"), "vocab_size": 300}
    return lambda **changed: PairsConfig(**{**values, **changed})


def folders(tmp_path):
    return sorted(entry.name for entry in (tmp_path / "cache" / "prepared").iterdir())


def snapshot(prepared):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in prepared.directory.iterdir()}


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_the_arrays_hold_the_corpus(make, kind):
    prepared = prepare_pairs(make(tokenizer=kind))
    kept = {**SPLITS, "train": [pair for pair in TRAIN if pair not in TRAIN[60:62]]}
    for split, pairs in kept.items():
        arrays = prepared.split(split)
        assert len(arrays) == len(pairs)
        for side, sentences in enumerate((arrays.source, arrays.target)):
            assert len(sentences) == len(pairs)
            assert [ids.tolist() for ids in sentences] == [
                [*prepared.tokenizer.encode(pair[side]), EOS_ID] for pair in pairs
            ]
            assert sentences.lengths.tolist() == [len(ids) for ids in sentences]
            assert sentences.tokens.dtype == np.uint16
            if split == "train":
                assert prepared.tokenizer.decode_batch(sentences) == [pair[side] for pair in pairs]


def test_targets_are_reversed_from_right_to_left_and_text_is_not(make):
    usual, turned = prepare_pairs(make()), prepare_pairs(make(right_to_left=True))
    assert turned.directory != usual.directory
    assert turned.tokenizer.tags.right_to_left
    assert turned.text("test") == usual.text("test")
    for split in SPLITS:
        mine, theirs = usual.split(split), turned.split(split)
        assert [ids.tolist() for ids in theirs.source] == [ids.tolist() for ids in mine.source]
        expected = [[*reversed(ids.tolist()[:-1]), EOS_ID] for ids in mine.target]
        assert [ids.tolist() for ids in theirs.target] == expected != [ids.tolist() for ids in mine.target]
        if split != "train":  # its blank pairs are left out
            written = turned.tokenizer.target_texts([ids.tolist() for ids in theirs.target])
            assert written == [usual.tokenizer.decode(ids.tolist()) for ids in mine.target]
    given = make(right_to_left=True, tokenizer_file=str(usual.directory / "tokenizer.json"))
    assert prepare_pairs(given).tokenizer.to_json() == turned.tokenizer.to_json()


def test_the_text_of_validation_and_test_is_kept(make):
    prepared = prepare_pairs(make())
    for split in ("validation", "test"):
        assert [*zip(*prepared.text(split), strict=True)] == SPLITS[split]


def test_the_manifest_counts(make):
    manifest = prepare_pairs(make(tokenizer="characters")).manifest
    assert manifest["kind"] == "characters"
    known = set("".join(source + target for source, target in TRAIN))
    for split, pairs in SPLITS.items():
        counts = manifest["splits"][split]
        left_out = 2 if split == "train" else 0
        assert counts["blank_pairs_left_out"] == left_out
        assert counts["pairs"] == len(pairs) - left_out
        target = [pair[1] for pair in pairs if split != "train" or pair not in TRAIN[60:62]]
        characters = sum(len(line) + 1 for line in target)
        assert counts["target_tokens"] == characters
        unknown = sum(character not in known for line in target for character in line)
        assert counts["target_unknown_share"] == unknown / characters
    assert manifest["splits"]["test"]["target_unknown_share"] > 0


def test_a_second_time_it_is_found(make, tmp_path, caplog):
    first = prepare_pairs(make())
    before = snapshot(first)
    with caplog.at_level(logging.INFO, "tfmr"):
        # Neither batches nor the order of the data change what is prepared.
        second = prepare_pairs(make(tokens_per_batch=999, num_buckets=3, seed=5))
    assert second.directory == first.directory
    assert snapshot(second) == before
    assert "Found the prepared corpus" in caplog.text
    assert second.manifest == first.manifest
    assert second.tokenizer.to_json() == first.tokenizer.to_json()


def test_it_logs_what_it_does(make, caplog):
    with caplog.at_level(logging.INFO, "tfmr"):
        prepare_pairs(make())
    assert "Trained the bpe tokenizer: 300 tokens" in caplog.text
    assert "Prepared train: 65 pairs" in caplog.text
    assert "Left out of train: 2 pairs with a blank side" in caplog.text


def test_whatever_decides_the_content_decides_the_folder(make, tmp_path):
    given = tmp_path / "given.json"
    Tokenizer.train("bpe", ["something else"], 260).save(given)
    configs = [
        make(),
        make(vocab_size=290),
        make(max_length=100),
        make(tokenizer="wordpiece"),
        make(source_language="de", target_language="en"),
        make(tokenizer_file=str(given)),
    ]
    assert len({prepare_pairs(config).directory for config in configs}) == len(configs)
    assert prepare_pairs(configs[-1]).tokenizer.to_json() == Tokenizer.from_file(given).to_json()
    # A given tokenizer is not trained: these do not matter.
    assert (
        prepare_pairs(make(tokenizer_file=str(given), vocab_size=290, tokenizer="characters", max_length=9)).directory
        == prepare_pairs(configs[-1]).directory
    )
    Tokenizer.train("bpe", ["aa", "aa"], 261).save(given)
    assert prepare_pairs(configs[-1]).tokenizer.vocab_size == 261


def test_changed_text_is_prepared_again(make, tmp_path):
    before = prepare_pairs(make())
    write_corpus(tmp_path / "corpus", {**SPLITS, "test": PAIRS[7:9]})
    after = prepare_pairs(make())
    assert after.directory != before.directory
    assert [*zip(*after.text("test"), strict=True)] == PAIRS[7:9]
    assert [*zip(*before.text("test"), strict=True)] == SPLITS["test"]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train.source.tokens.npy", truncate),
        ("test.target.offsets.npy", lambda path: path.unlink()),
        ("tokenizer.json", truncate),
        ("manifest.json", truncate),
        ("manifest.json", lambda path: path.unlink()),
        ("manifest.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_folder_is_reported_and_made_again(make, name, damage, caplog, tmp_path):
    prepared = prepare_pairs(make())
    before = {path.name: path.read_bytes() for path in prepared.directory.iterdir()}
    damage(prepared.directory / name)
    with pytest.raises(InputError, match=name):
        PreparedPairs.open(prepared.directory)
    again = prepare_pairs(make())
    assert "damaged and will be prepared again" in caplog.text
    assert name in caplog.text
    assert {path.name: path.read_bytes() for path in again.directory.iterdir()} == before
    assert folders(tmp_path) == [prepared.directory.name]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_place_of_a_folder_is_replaced(make, tmp_path, exists):
    directory, other = prepare_pairs(make()).directory, tmp_path / "other"
    directory.rename(tmp_path / "before")
    if exists:
        other.mkdir()
        (other / "file").write_text("kept")
    directory.symlink_to(other)
    prepare_pairs(make())
    before, again = (
        {path.name: path.read_bytes() for path in each.iterdir()} for each in (tmp_path / "before", directory)
    )
    assert before == again
    assert folders(tmp_path) == [directory.name]
    assert not directory.is_symlink()
    assert (other / "file").exists() == exists


def test_nothing_is_left_when_preparing_fails(make, tmp_path):
    write_corpus(tmp_path / "corpus", {"train": [("a", ""), ("", "b")]})
    with pytest.raises(InputError, match="train split has no pair with text on both sides"):
        prepare_pairs(make())
    assert folders(tmp_path) == []


def test_files_that_change_while_they_are_read_are_refused(make, tmp_path, monkeypatch):
    write = prepare_module._write_split

    def change_and_write(folder, corpus, split, *others):
        if split == "test":
            write_corpus(tmp_path / "corpus", {"test": SPLITS["test"][::-1]})  # the same size, the same second
        return write(folder, corpus, split, *others)

    monkeypatch.setattr(prepare_module, "_write_split", change_and_write)
    with pytest.raises(InputError, match="'text': its files changed while they were being read; try again"):
        prepare_pairs(make())
    assert folders(tmp_path) == []


def test_nothing_but_the_prepared_folder_is_written(make, tmp_path):
    prepare_pairs(make())
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["prepared"]


def test_a_bad_tokenizer_is_refused_before_any_work(make, tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        prepare_pairs(make(tokenizer_file=str(tmp_path / "none.json")))
    assert not (tmp_path / "cache").exists()


def test_chunks_do_not_change_the_arrays(make, monkeypatch, tmp_path):
    whole = prepare_pairs(make())
    monkeypatch.setattr(chunks, "_ITEMS", 3)
    pieces = prepare_pairs(make(cache=str(tmp_path / "other")))
    for name in whole.manifest["files"]:
        assert (pieces.directory / name).read_bytes() == (whole.directory / name).read_bytes()


@pytest.fixture
def learned_from(monkeypatch):
    """The lines that tokenizers are trained on."""
    seen = []
    train = Tokenizer.train

    def train_and_see(kind, texts, vocab_size, **options):
        seen.extend(texts)
        return train(kind, seen, vocab_size, **options)

    monkeypatch.setattr(Tokenizer, "train", train_and_see)
    return seen


def pairs_of(lines):
    return [*zip(lines[::2], lines[1::2], strict=True)]


def test_the_tokenizer_learns_from_what_is_trained_on(make, tmp_path, learned_from, caplog):
    """Not from pairs with a blank side or those that are too long, which are named."""
    base64 = "QUJD" * 10_000
    words = "a " * 100
    train = [*PAIRS, (base64, base64), ("", "leer"), ("one", base64), (words, "viele"), (base64[:799], "kurz")]
    write_corpus(tmp_path / "corpus", {"train": train})
    with caplog.at_level(logging.INFO, "tfmr"):
        prepared = prepare_pairs(make(max_length=100))
    assert pairs_of(learned_from) == [*PAIRS, train[-1]]
    place = f"line 61 of {tmp_path / 'corpus' / 'train.en'} (40,000 characters), line 63 of"
    assert f"not trained on 3 pairs longer than data.max_length = 100: {place}" in caplog.text
    plan = prepared.split("train").plan(make(max_length=100))
    assert plan.left_out >= 3


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
@pytest.mark.parametrize("max_length", [12, 30, 60])
def test_no_pair_that_is_trained_on_is_kept_from_the_tokenizer(make, learned_from, kind, max_length):
    prepared = prepare_pairs(make(tokenizer=kind, max_length=max_length))
    train = [pair for pair in TRAIN if pair not in TRAIN[60:62]]
    sides = prepared.split("train")
    longest = np.maximum(sides.source.lengths, sides.target.lengths)
    used = {pair for pair, length in zip(train, longest, strict=True) if length <= max_length}
    assert used <= {*pairs_of(learned_from)}
    if kind == "characters":
        assert used == {*pairs_of(learned_from)}


def test_large_chunks_are_cut(make, monkeypatch, tmp_path):
    whole = prepare_pairs(make())
    monkeypatch.setattr(chunks, "_CHARACTERS", 100)
    assert max(map(len, chunks.in_chunks(PAIRS, lambda pair: len(pair[0]) + len(pair[1])))) <= 3
    pieces = prepare_pairs(make(cache=str(tmp_path / "other")))
    assert pieces.content_hash() == whole.content_hash()


def test_a_log_has_lines_of_progress(make, monkeypatch, caplog):
    monkeypatch.setattr(chunks, "_ITEMS", 13)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "tfmr"):
        prepare_pairs(make())
    lines = [record.getMessage() for record in caplog.records]
    found = [
        re.fullmatch(r"Encoding train: (\d+) pairs, [\d,]+ pairs/s, (\d+)%, 0:00:\d\d left", line) for line in lines
    ]
    assert [match.groups() for match in found if match] == [
        (str(13 * n), f"{n * 1300 / 67:.0f}") for n in range(1, 6)
    ] + [("67", "100")]
    assert sum(line.startswith("Reading for the tokenizer: ") for line in lines) == 130


def test_a_log_has_lines_while_files_are_hashed_and_a_library_computes(make, monkeypatch, caplog):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    train = tokenizer_training.train_bpe

    def train_slowly(texts, *options):
        backend = train(texts, *options)
        while "Computing the vocabulary: 0:00:00 so far" not in caplog.text:
            time.sleep(0.001)
        return backend

    monkeypatch.setattr(tokenizer, "train_bpe", train_slowly)
    with caplog.at_level(logging.INFO, "tfmr"):
        prepare_pairs(make())
    for stage in ("Hashing the input files", "Hashing the arrays"):
        assert re.search(rf"{stage}: [\d,]+ MB, [\d,]+ MB/s, \d+%, 0:00:\d\d left", caplog.text)
    assert "Computing" not in caplog.text[caplog.text.index("Trained the bpe") :]


def test_the_tokenizer_sees_a_sample_of_a_large_corpus(make, tmp_path, monkeypatch, learned_from, caplog):
    pairs = [(f"source {number}", f"Ziel {number}") for number in range(1000)]
    write_corpus(tmp_path / "corpus", {"train": pairs})
    monkeypatch.setattr(prepare_module, "MAX_TOKENIZER_PAIRS", 100)
    with caplog.at_level(logging.INFO, "tfmr"):
        prepare_pairs(make())
    assert "trained on 10.0% of the training pairs, chosen by their content" in caplog.text
    sample = pairs_of(learned_from)
    assert 70 < len(sample) < 130
    learned_from.clear()
    write_corpus(tmp_path / "corpus", {"train": pairs[::-1]})
    prepare_pairs(make())
    assert pairs_of(learned_from) == sample[::-1]


def test_the_folder_of_the_cache(monkeypatch, tmp_path, make):
    monkeypatch.setenv("TFMR_CACHE", str(tmp_path / "of_environment"))
    assert prepare_pairs(make(cache="")).directory.parent == tmp_path / "of_environment" / "prepared"


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.int32)])
def test_token_arrays_on_disk(tmp_path, vocab_size, dtype):
    writer = TokenWriter(tmp_path, "some", vocab_size)
    sentences = [[4, vocab_size - 1, EOS_ID], [EOS_ID], [7, EOS_ID]]
    writer.extend(sentences[:1])
    writer.extend([])
    writer.extend(sentences[1:])
    writer.close()
    arrays = TokenArrays.open(tmp_path, "some")
    assert arrays.tokens.dtype == dtype
    assert arrays.offsets.tolist() == [0, 3, 4, 6]
    assert [ids.tolist() for ids in arrays] == sentences
    assert np.array_equal(np.load(tmp_path / "some.tokens.npy"), arrays.tokens)
    with pytest.raises(IndexError, match="sentence 3 of 3"):
        arrays[3]
    with pytest.raises(ValueError, match="read-only"):
        arrays[0][0] = UNK_ID


def test_multi30k(shared_data, tmp_path):
    real = shared_data / "multi30k" / "tok"
    for name, stem in (("train", "val"), ("val", "test_2016_flickr"), ("test_2016_flickr", "test_2016_flickr")):
        for language in ("en", "de"):  # the small files only: for time
            (tmp_path / f"{name}.lc.norm.tok.{language}").symlink_to(real / f"{stem}.lc.norm.tok.{language}")
    prepared = prepare_pairs(
        PairsConfig(corpus="multi30k", variant="tok", dir=str(tmp_path), cache=str(tmp_path), vocab_size=2_000)
    )
    assert prepared.tokenizer.vocab_size == 2_000
    assert [len(prepared.split(split)) for split in ("train", "validation", "test")] == [1_014, 1_000, 1_000]
    source, target = prepared.text("test")
    test = prepared.split("test")
    assert prepared.tokenizer.decode_batch(test.source) == source
    assert prepared.tokenizer.decode_batch(test.target) == target
    published = (real / "test_2016_flickr.lc.norm.tok.de").read_text(encoding="utf-8")
    assert "".join(f"{line}\n" for line in target) == published
    assert json.loads((prepared.directory / "manifest.json").read_text(encoding="utf-8")) == prepared.manifest


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"something else"])
def test_damaged_token_arrays_are_refused(tmp_path, damage):
    writer = TokenWriter(tmp_path, "some", 100)
    writer.extend([[4, EOS_ID]])
    writer.close()
    (tmp_path / "some.offsets.npy").write_bytes(damage)
    with pytest.raises(InputError, match=r"the prepared arrays of some are damaged \(.*\); delete this folder"):
        TokenArrays.open(tmp_path, "some")
