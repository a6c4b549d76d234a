"""Corpora: what stands in the files is what comes out; every mistake in them is named in one line."""

import bz2
import contextlib
import gzip
import hashlib
import importlib.util
import itertools
import json
import logging
import lzma
import os
import subprocess
import sys
import tarfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from tfmr.config import PairsConfig
from tfmr.data.corpora import corpus as corpus_module
from tfmr.data.corpora import grammar, load_corpus, named
from tfmr.data.corpora import multi30k as multi30k_module
from tfmr.data.corpora.lines import find_files
from tfmr.errors import InputError

PAIRS = [(f"source {number}", f"Ziel {number}") for number in range(250)]
HELD_OUT = ["source 86", "source 96", "source 226"], ["source 155", "source 256"]


@pytest.fixture
def folder(tmp_path):
    """An empty folder for the corpus's files."""
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


@pytest.fixture
def load(tmp_path):
    """Loads a corpus, by default the text corpus, into a cache of its own."""
    return lambda **values: load_corpus(PairsConfig(**{"corpus": "text", "cache": str(tmp_path / "cache"), **values}))


def write(path: Path, lines, end="\n") -> Path:
    content = "".join(f"{line}{end}" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_split(folder, stem, pairs, suffix=""):
    for side, language in enumerate(("en", "de")):
        write(folder / f"{stem}.{language}{suffix}", [pair[side] for pair in pairs])


def write_all(folder, train=PAIRS, validation=PAIRS[:3], test=PAIRS[3:5]):
    for stem, pairs in (("train", train), ("valid", validation), ("test", test)):
        write_split(folder, stem, pairs)


def refused(corpus_or_load, *parts):
    """Checks that the error is one line that holds all parts."""
    with pytest.raises(InputError) as error:
        list(corpus_or_load().split("train"))
    assert "\n" not in str(error.value)
    for part in parts:
        assert str(part) in str(error.value)


# Plain text


def test_a_folder_comes_out_as_it_stands(folder, load):
    odd = [("a\u2028b", " two  spaces "), ("", "leer"), ("tab\there", "x\x0by\x85z"), ("🤖", "\r inside")]
    write_all(folder, train=PAIRS + odd)
    corpus = load(dir=str(folder))
    assert list(corpus.split("train")) == PAIRS + odd
    assert list(corpus.split("validation")) == PAIRS[:3]
    assert list(corpus.split("test")) == PAIRS[3:5]
    assert [corpus.size(split) for split in ("train", "validation", "test")] == [254, 3, 2]
    swapped = load(dir=str(folder), source_language="de", target_language="en")
    assert list(swapped.split("test")) == [pair[::-1] for pair in PAIRS[3:5]]
    assert swapped.fingerprint != corpus.fingerprint


@pytest.mark.parametrize("stem", ["validation", "valid", "val", "dev"])
def test_names_gzip_and_tsv(folder, load, stem):
    write_split(folder, "train", PAIRS, ".gz")
    write(folder / f"{stem}.tsv.gz", ["\t".join(pair) for pair in PAIRS[:4]])
    write(folder / "test.tsv", ["\t".join(pair) for pair in PAIRS[4:6]])
    corpus = load(dir=str(folder))
    assert list(corpus.split("train")) == PAIRS
    assert list(corpus.split("validation")) == PAIRS[:4]
    assert list(corpus.split("test")) == PAIRS[4:6]


def test_windows_line_ends_byte_order_mark_and_no_last_line_feed(folder, load):
    write_all(folder)
    write(folder / "test.en", ["\ufeffone", "\ufefftwo"], end="\r\n")
    (folder / "test.de").write_bytes(b"eins\r\nzwei")
    assert list(load(dir=str(folder)).split("test")) == [("one", "eins"), ("\ufefftwo", "zwei")]


def test_changed_files_are_never_read_from_the_cache(folder, load):
    write_all(folder)
    before = load(dir=str(folder))
    assert list(before.split("test")) == PAIRS[3:5]
    stat = (folder / "test.en").stat()
    write(folder / "test.en", ["SOURCE 3", "source 4"])  # the same size
    os.utime(folder / "test.en", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = load(dir=str(folder))
    assert next(after.split("test")) == ("SOURCE 3", PAIRS[3][1])
    assert after.fingerprint != before.fingerprint


def test_the_same_content_elsewhere_is_the_same_corpus(folder, load, tmp_path):
    write_all(folder)
    (tmp_path / "copy").mkdir()
    write_all(tmp_path / "copy")
    assert load(dir=str(folder)).fingerprint == load(dir=str(tmp_path / "copy")).fingerprint


# Held-out parts


def hash_of(pair) -> float:
    """Returns the hash of a pair as a number in [0, 1)."""
    digest = hashlib.blake2b(f"{min(pair)}\n{max(pair)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def splits_of(corpus) -> dict[str, list]:
    return {split: list(corpus.split(split)) for split in ("train", "validation", "test")}


def test_held_out_pairs_do_not_leak(folder, load):
    pairs = [*PAIRS, *PAIRS[::-1], ("", "leer")]
    source = write(folder / "all.en", [pair[0] for pair in pairs])
    target = write(folder / "all.de", [pair[1] for pair in pairs])
    corpus = load(source_file=str(source), target_file=str(target), held_out_share=0.05)
    splits = splits_of(corpus)
    assert splits["validation"] == [pair for pair in PAIRS if hash_of(pair) < 0.05]
    assert splits["test"] == [pair for pair in PAIRS if hash_of(pair) >= 0.95]
    held_out = {*splits["validation"], *splits["test"]}
    assert len(held_out) > 10
    assert splits["train"] == [pair for pair in pairs if pair not in held_out]
    assert corpus.size("train") == len(splits["train"])


@pytest.mark.parametrize("most", [1000, 7])
def test_a_pair_never_changes_sides(folder, load, monkeypatch, most):
    """Whatever is added, removed or reordered; also if there are more than a held-out split may have."""
    monkeypatch.setattr(corpus_module, "MAX_HELD_OUT", most)
    pairs = [(f"source {number}", f"Ziel {number}") for number in range(900)]
    texts = [pairs[:300], pairs, pairs[::-2], pairs[200:250] + pairs[:100] + pairs[600:]]
    sides: dict = {}
    for text in texts:
        tsv = write(folder / "all.tsv", ["\t".join(pair) for pair in text])
        splits = splits_of(load(source_file=str(tsv), held_out_share=0.1))
        assert 0 < len(splits["validation"]) <= most
        for split, found in splits.items():
            for pair in found:
                sides.setdefault(pair, set()).add(split)
    assert max(map(len, sides.values())) == 1
    assert Counter(side for found in sides.values() for side in found)["validation"] > 5


def test_with_another_share_no_pair_moves_between_validation_and_test(folder, load):
    tsv = write(folder / "all.tsv", ["\t".join(pair) for pair in PAIRS])
    small, large = (splits_of(load(source_file=str(tsv), held_out_share=share)) for share in (0.05, 0.45))
    for split in ("validation", "test"):
        assert set(small[split]) < set(large[split])
    assert set(large["train"]) < set(small["train"])


def test_of_many_held_out_pairs_the_smallest_hashes_are_used(folder, load, monkeypatch):
    """However few hashes are kept at a time: the same pairs as if all were sorted, in the order of the file."""
    monkeypatch.setattr(corpus_module, "MAX_HELD_OUT", 3)
    pairs = [*PAIRS, *PAIRS[::3], (" ", "leer"), *PAIRS[::-7]]
    write_split(folder, "train", pairs)
    write_split(folder, "dev", PAIRS[:4])
    splits = splits_of(load(dir=str(folder), held_out_share=0.2))
    in_range = [pair for pair in PAIRS if hash_of(pair) >= 0.8]
    smallest = sorted(in_range, key=hash_of)[:3]
    assert splits["test"] == [pair for pair in PAIRS if pair in smallest]
    assert splits["validation"] == PAIRS[:4]
    assert splits["train"] == [pair for pair in pairs if pair not in in_range]


def test_the_held_out_pairs_of_a_fixed_text(folder, load):
    """A text must not be split in another way later."""
    tsv = write(folder / "all.tsv", [f"source {n}\tZiel {n}" for n in [*range(150), *range(50, 300)]])
    splits = splits_of(load(source_file=str(tsv)))
    assert [source for source, _ in splits["validation"]] == HELD_OUT[0]
    assert [source for source, _ in splits["test"]] == HELD_OUT[1]


def test_a_folder_without_validation_files_holds_out_that_part_only(folder, load, caplog):
    write_split(folder, "train", PAIRS)
    write_split(folder, "test", PAIRS[3:5])
    with caplog.at_level(logging.INFO, "tfmr"):
        corpus = load(dir=str(folder), held_out_share=0.1)
        size = corpus.size("validation")
    assert size == sum(hash_of(pair) < 0.1 for pair in PAIRS)
    assert corpus.size("train") == 250 - size
    assert list(corpus.split("test")) == PAIRS[3:5]
    assert f"Holding out {size} pairs for validation from 250 training pairs" in caplog.text


def test_too_few_pairs_are_refused_and_a_larger_share_helps(folder, load):
    tsv = write(folder / "all.tsv", [f"a {n}\tA {n}" for n in range(20)])
    refused(lambda: load(source_file=str(tsv)), "20 pairs are too few to hold out", "data.held_out_share (now 0.01)")
    corpus = load(source_file=str(tsv), held_out_share=0.3)
    assert min(corpus.size(split) for split in ("train", "validation", "test")) > 0


# Several files, and where a pair is found


def test_several_files_are_one_corpus(folder, load):
    for number, start in enumerate((0, 100, 200)):
        write_split(folder, f"part-{number}", PAIRS[start : start + 100])
    names = [tuple(str(folder / f"part-{number}.{language}") for number in range(3)) for language in ("en", "de")]
    for source, target in (names, [str(folder / f"part-*.{language}") for language in ("en", "de")]):
        corpus = load(source_file=source, target_file=target, held_out_share=0.1)
        numbered = list(corpus.numbered("train"))
        held_out = {pair for split in ("validation", "test") for pair in corpus.split(split)}
        assert [pair for _, pair in numbered] == [pair for pair in PAIRS if pair not in held_out]
        for number, pair in numbered:
            file, line = divmod(PAIRS.index(pair), 100)
            assert corpus.place("train", number) == f"line {line + 1} of {names[0][file]}"
    refused(lambda: load(source_file=names[0], target_file=names[1][:2]), "name 3 and 2 files")
    refused(lambda: load(source_file=str(folder / "none-*.en")), "none-*.en", "no file matches")


def test_a_pipe_is_refused(folder, load):
    os.mkfifo(folder / "pipe")
    refused(lambda: load(source_file=str(folder / "pipe")), folder / "pipe", "is a pipe", "read several times")
    refused(lambda: load(source_file=str(folder)), folder, "is a folder")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, None])
def test_content_decides_what_is_decompressed(folder, load, compress):
    compress = compress or pytest.importorskip("backports.zstd").compress
    compressed = compress("".join("\t".join(pair) + "\n" for pair in PAIRS).encode())
    for name in ("corpus", "corpus.gz"):
        (folder / name).write_bytes(compressed)
        corpus = load(source_file=str(folder / name), held_out_share=0.1)
        assert sum(corpus.size(split) for split in ("train", "validation", "test")) == 250
    (folder / "corpus").write_bytes(compressed[:-20])
    refused(lambda: load(source_file=str(folder / "corpus")), folder / "corpus", "truncated")
    write(folder / "plain", ["BZh9\tnot bzip2", *("\t".join(pair) for pair in PAIRS)]).rename(folder / "plain.gz")
    assert load(source_file=str(folder / "plain.gz"), held_out_share=0.1).size("train") > 180


# Mistakes


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "text.en").symlink_to("text.en")
    with pytest.raises(InputError, match=r"text\.en: is a link to text\.en, which does not exist$"):
        find_files(str(tmp_path / "text.en"))


def test_missing_files_are_named_with_the_nearest(folder, load, tmp_path):
    write_all(folder)
    (folder / "train.de").rename(folder / "train.ge")
    refused(lambda: load(dir=str(folder)), folder / "train.de", "did you mean 'train.ge'?")
    (folder / "train.ge").unlink()
    (folder / "train.en").unlink()
    refused(lambda: load(dir=str(folder)), folder / "train.en")
    refused(lambda: load(dir=str(tmp_path / "none")), tmp_path / "none", "does not exist")
    refused(lambda: load(source_file=str(folder / "tset.en")), folder / "tset.en", "'test.en'")
    refused(lambda: load(source_file=str(folder / "test.en"), target_file=str(folder / "x")), folder / "x")


def test_impossible_settings_are_refused(folder, load):
    write_all(folder)
    refused(lambda: load(), "data.dir", "data.source_file")
    refused(lambda: load(dir=str(folder), source_file=str(folder / "test.en")), "cannot be combined")
    refused(lambda: load(dir=str(folder), target_language="en"), "different")
    refused(lambda: load(dir=str(folder), target_language="../de"), "file name extensions")


@pytest.mark.parametrize(("longer", "shorter"), [("en", "de"), ("de", "en")])
def test_unequal_lengths(folder, load, longer, shorter):
    write_all(folder)
    write(folder / f"train.{longer}", range(12))
    write(folder / f"train.{shorter}", range(9))
    refused(
        lambda: load(dir=str(folder)),
        f"train.{longer} has 12",
        f"train.{shorter} has 9",
    )


def test_text_that_is_not_utf8(folder, load):
    write_all(folder)
    (folder / "train.de").write_bytes("Grüße\n".encode() + "Grüße\n".encode("latin-1"))
    refused(lambda: load(dir=str(folder)), folder / "train.de", "line 2", "byte 3", "0xfc")


@pytest.mark.parametrize(("line", "tabs"), [("a\tb\tc", 2), ("a b", 0), ("", 0)])
def test_tsv_lines_without_one_tab(folder, load, line, tabs):
    tsv = write(folder / "all.tsv", ["a\tb", "c\td", line])
    refused(lambda: load(source_file=str(tsv)), tsv, "line 3", f"{tabs} tabs")


def test_empty_files(folder, load):
    write_all(folder, train=[])
    refused(lambda: load(dir=str(folder)), folder / "train.en", "empty")


def test_broken_gzip(folder, load):
    write_all(folder)
    for suffix in ("en", "de"):
        (folder / f"train.{suffix}").unlink()
    write_split(folder, "train", PAIRS, ".gz")
    whole = (folder / "train.en.gz").read_bytes()
    (folder / "train.en.gz").write_bytes(whole[:-20])
    refused(lambda: load(dir=str(folder)), folder / "train.en.gz", "truncated")
    (folder / "train.en.gz").write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    refused(lambda: load(dir=str(folder)), folder / "train.en.gz", "gzip")


def test_unknown_corpora_are_named_with_the_nearest(load):
    refused(lambda: load(corpus="multi30"), "multi30", "did you mean 'multi30k'?", "grammar, multi30k, text")
    refused(lambda: load(corpus="wmt14_translat/de-en"), "did you mean 'wmt14_translate'?")
    refused(lambda: load(corpus="../../somewhere"), "must be one of")


# Reading in constant memory, without a copy


def test_files_are_read_without_a_copy_of_them(folder, load, tmp_path, capfd):
    write_all(folder)
    corpus = load(dir=str(folder))
    assert [corpus.size(split) for split in ("train", "validation", "test")] == [250, 3, 2]
    assert next(corpus.split("train")) == PAIRS[0]
    assert not (tmp_path / "cache").exists()
    assert capfd.readouterr() == ("", "")


def test_tensorflow_datasets_is_not_imported_for_files(folder, tmp_path):
    write_split(folder, "train", PAIRS)
    program = (
        "import sys; from tfmr.config import PairsConfig; from tfmr.data.corpora import load_corpus; "
        "list(load_corpus(PairsConfig(corpus='text', dir=sys.argv[1])).split('train')); "
        "list(load_corpus(PairsConfig(grammar_size=5)).split('train')); "
        "assert 'tensorflow_datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)


def test_memory_does_not_grow_with_the_pairs(folder, load, monkeypatch):
    """With a smaller bound on what is kept, thousands of pairs need as little as millions with the real one."""
    monkeypatch.setattr(corpus_module, "MAX_HELD_OUT", 20)
    peaks = []
    for count in (5_000, 20_000):
        write_split(folder, "train", [(f"source {number}", f"Ziel {number % 1000}") for number in range(count)])
        corpus = load(dir=str(folder))
        tracemalloc.start()
        assert 0.97 * count < sum(1 for split in ("train", "validation", "test") for _ in corpus.split(split)) < count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 500_000


# Multi30k


def write_multi30k(folder, variant, language, counts=(6, 3, 2)):
    (folder / variant).mkdir(parents=True, exist_ok=True)
    names = ("train", "val", "test_2016_flickr")
    for name, count in zip(names, counts, strict=True):
        end = f"{name}.{language}.gz" if variant == "raw" else f"{name}.lc.norm.tok.{language}"
        write(folder / variant / end, [f"{variant} {language} {name} {number}" for number in range(count)])


def multi30k_pairs(variant, name, count, source, target):
    return [(f"{variant} {source} {name} {n}", f"{variant} {target} {name} {n}") for n in range(count)]


@pytest.mark.parametrize("variant", ["raw", "tok"])
@pytest.mark.parametrize("inside", ["", "data/task1", "itself"])
def test_multi30k_from_a_folder(folder, load, variant, inside):
    base = folder / ("" if inside == "itself" else inside)
    for language in ("en", "cs"):
        write_multi30k(base, variant, language)
    directory = folder / variant if inside == "itself" else folder
    corpus = load(corpus="multi30k", dir=str(directory), variant=variant, source_language="cs", target_language="en")
    assert list(corpus.split("train")) == multi30k_pairs(variant, "train", 6, "cs", "en")
    assert list(corpus.split("test")) == multi30k_pairs(variant, "test_2016_flickr", 2, "cs", "en")
    assert list(corpus.split("validation")) == multi30k_pairs(variant, "val", 3, "cs", "en")


def test_multi30k_mistakes(folder, load):
    write_multi30k(folder, "raw", "en")
    refused(lambda: load(corpus="multi30k", dir=str(folder)), folder / "raw" / "train.de")
    refused(lambda: load(corpus="multi30k", dir=str(folder), target_language="es"), "'es'", "en, de, fr, cs")
    refused(lambda: load(corpus="multi30k", dir=str(folder), target_language="en"), "must differ")
    refused(lambda: load(corpus="multi30k", dir=str(folder / "none")), "none")


@pytest.mark.parametrize("variant", ["raw", "tok"])
def test_multi30k_as_it_is(shared_data, load, variant):
    corpus = load(corpus="multi30k", dir=str(shared_data / "multi30k"), variant=variant)
    assert [corpus.size(split) for split in ("train", "validation", "test")] == [29_000, 1_014, 1_000]
    test = list(corpus.split("test"))
    if variant == "raw":
        path = shared_data / "multi30k" / "raw" / "test_2016_flickr.de.gz"
        german = gzip.decompress(path.read_bytes()).decode()
    else:
        german = (shared_data / "multi30k" / "tok" / "test_2016_flickr.lc.norm.tok.de").read_bytes().decode()
    assert "".join(f"{target}\n" for _, target in test) == german


@pytest.mark.parametrize("variant", ["raw", "tok"])
def test_multi30k_downloads_are_checked(shared_data, load, variant, monkeypatch, tmp_path):
    monkeypatch.setattr(multi30k_module, "BASE_URL", (shared_data / "multi30k").as_uri())
    downloaded = load(corpus="multi30k", variant=variant)
    assert (
        downloaded.fingerprint
        == load(corpus="multi30k", variant=variant, dir=str(shared_data / "multi30k")).fingerprint
    )
    files = sorted((tmp_path / "cache" / "downloads" / "multi30k").iterdir())
    assert len(files) == 6
    monkeypatch.setattr(multi30k_module, "BASE_URL", (tmp_path / "gone").as_uri())
    assert load(corpus="multi30k", variant=variant).fingerprint == downloaded.fingerprint
    files[0].write_bytes(b"damaged")  # is downloaded again
    refused(lambda: load(corpus="multi30k", variant=variant), files[0].name, "cannot be downloaded", "--data.dir")


def test_multi30k_downloads_with_another_checksum_are_refused(folder, load, monkeypatch, tmp_path):
    for language in ("en", "de"):
        write_multi30k(folder, "raw", language)
    monkeypatch.setattr(multi30k_module, "BASE_URL", folder.as_uri())
    refused(lambda: load(corpus="multi30k"), "train.en.gz", "has sha256")
    assert list((tmp_path / "cache" / "downloads" / "multi30k").iterdir()) == []


def test_multi30k_downloads_without_a_known_checksum(folder, load, monkeypatch, tmp_path, caplog):
    for language in ("fr", "cs"):
        write_multi30k(folder, "raw", language)
    monkeypatch.setattr(multi30k_module, "BASE_URL", folder.as_uri())
    french = {"corpus": "multi30k", "source_language": "fr", "target_language": "cs"}
    refused(lambda: load(**french), "train.fr.gz", "6 lines", "29000")
    monkeypatch.setattr(multi30k_module, "_LINES", {"train": 6, "validation": 3, "test": 2})
    assert list(load(**french).split("test")) == multi30k_pairs("raw", "test_2016_flickr", 2, "fr", "cs")
    cache = tmp_path / "cache" / "downloads" / "multi30k"
    recorded = json.loads((cache / "checksums.json").read_text(encoding="utf-8"))
    assert recorded["val.cs.gz"] == hashlib.sha256((folder / "raw" / "val.cs.gz").read_bytes()).hexdigest()
    assert "no checksum is known" in caplog.text
    (cache / "val.cs.gz").unlink()
    write(folder / "raw" / "val.cs.gz", ["a", "b", "other"])
    refused(lambda: load(**french), "val.cs.gz", recorded["val.cs.gz"], "has sha256")


# The built-in grammar


def test_the_grammar_in_both_directions(load):
    corpus = load(corpus="grammar", grammar_size=20)
    assert list(corpus.split("train")) == grammar.sentence_pairs("train", 20)
    assert corpus.size("validation") == grammar.VALIDATION_SIZE
    swapped = load(corpus="grammar", grammar_size=20, source_language="de", target_language="en")
    test = grammar.sentence_pairs("test", grammar.TEST_SIZE)
    assert list(swapped.split("test")) == [(german, english) for english, german in test]
    assert len({corpus.fingerprint, swapped.fingerprint, load(corpus="grammar", grammar_size=21).fingerprint}) == 3
    refused(lambda: load(corpus="grammar", target_language="fr"), "'fr'", "en and de")


# Datasets by name


class TinyTranslate(tfds.core.GeneratorBasedBuilder):
    """Pairs from a tar archive, as tensorflow-datasets' own datasets come."""

    VERSION = tfds.core.Version("1.0.0")
    archive = Path()
    error: Exception | None = None

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.Translation(languages=("de", "en")))

    def _split_generators(self, dl_manager):
        if self.error:
            raise self.error
        return {"train": self._generate_examples(Path(dl_manager.extract(self.archive)) / "tiny" / "train.tsv")}

    def _generate_examples(self, path):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            german, english = line.split("\t")
            yield number, {"de": german, "en": english}


@pytest.fixture
def tiny_translate(tmp_path, monkeypatch):
    tsv = write(tmp_path / "train.tsv", [f"{target}\t{source}" for source, target in PAIRS])
    monkeypatch.setattr(TinyTranslate, "archive", tmp_path / "tiny.tar.gz")
    with tarfile.open(TinyTranslate.archive, "w:gz") as archive:
        archive.add(tsv, "tiny/train.tsv")
    return TinyTranslate


def test_a_dataset_by_name_in_both_directions(load, tiny_translate):
    corpus = load(corpus="tiny_translate", held_out_share=0.1)
    parts = splits_of(corpus)  # it has no validation and test splits of its own
    assert sorted(parts["validation"]) == sorted(pair for pair in PAIRS if hash_of(pair) < 0.1)
    assert sorted(itertools.chain.from_iterable(parts.values())) == sorted(PAIRS)
    assert [corpus.size(split) for split in parts] == [len(part) for part in parts.values()]
    swapped = load(corpus="tiny_translate", source_language="de", target_language="en", held_out_share=0.1)
    assert list(swapped.split("test")) == [pair[::-1] for pair in parts["test"]]
    assert swapped.fingerprint != corpus.fingerprint


def test_a_dataset_prepared_elsewhere_is_read_from_there(load, tiny_translate, tmp_path, monkeypatch):
    assert load(corpus="tiny_translate").size("test") == 1
    (tmp_path / "cache" / "datasets").rename(tmp_path / "elsewhere")
    monkeypatch.setattr(tiny_translate, "archive", tmp_path / "gone")
    assert load(corpus="tiny_translate", dir=str(tmp_path / "elsewhere")).size("test") == 1


def test_a_damaged_dataset_is_named(load, tiny_translate, tmp_path):
    assert load(corpus="tiny_translate").size("train") == 246
    (file,) = (tmp_path / "cache" / "datasets").rglob("*train.array_record*")
    file.write_bytes(file.read_bytes()[:-1000])
    refused(lambda: load(corpus="tiny_translate"), file.parent, "damaged", "delete it")


def test_what_a_killed_process_left_of_a_dataset_is_removed(load, tiny_translate, tmp_path):
    folder = Path(load(corpus="tiny_translate").builder.data_dir)
    old, new = (folder.with_name(f"incomplete.{name}_{folder.name}") for name in ("OLD", "NEW"))
    for leftover in (old, new):
        leftover.mkdir(parents=True)
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    assert load(corpus="tiny_translate").size("train") == 246
    assert (old.exists(), new.exists()) == (False, True)


def test_the_second_of_two_writers_reads_the_dataset_of_the_first(load, tiny_translate, monkeypatch):
    generate = tiny_translate._generate_examples

    def generate_while_another_writes(self, path):
        monkeypatch.setattr(tiny_translate, "_generate_examples", generate)
        assert load(corpus="tiny_translate").size("train") == 246
        yield from generate(self, path)

    monkeypatch.setattr(tiny_translate, "_generate_examples", generate_while_another_writes)
    assert len(list(load(corpus="tiny_translate").split("train"))) == 246


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_the_internals_of_tensorflow_datasets_have_to_be_replaced_still(load, tiny_translate, monkeypatch):
    """When this fails, `_quiet_without_tensorflow` need not replace `extractor.tf` any longer."""
    monkeypatch.setattr(named, "_quiet_without_tensorflow", contextlib.nullcontext)
    refused(lambda: load(corpus="tiny_translate"), "ExtractError")


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (ConnectionError("no\nnetwork"), ["cannot be downloaded", "no network", "--data.dir"]),
        (ImportError("No module named 'conllu'"), ["package", "conllu", "install"]),
        (AssertionError("You must manually download\n x.tgz"), ["manually download x.tgz", "--data.dir"]),
        (ValueError("a" * 1000), ["cannot prepare it", "aaa"]),
    ],
)
def test_a_dataset_that_cannot_be_made_says_what_is_needed(load, tiny_translate, monkeypatch, error, parts):
    monkeypatch.setattr(tiny_translate, "error", error)
    refused(lambda: load(corpus="tiny_translate"), "tiny_translate", *parts)


def test_wmt_is_known_by_name_without_loading_it(load):
    corpus = load(corpus="wmt14_translate/de-en")
    assert corpus.languages == ("en", "de")
    refused(lambda: load(corpus="wmt14_translate/de-en", target_language="fr"), "'fr'", "de and en")
    refused(lambda: load(corpus="wmt14_translate/en-de"), "'en-de'", "cs-en, de-en")
    refused(lambda: load(corpus="imdb_reviews"), "not a dataset of pairs")
