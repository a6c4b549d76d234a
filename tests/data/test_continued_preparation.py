"""A preparation that is stopped at any moment continues where it was, to the same bytes."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data import chunks, prepare, running_text, token_arrays, unfinished_folder
from tfmr.data.corpora import lines
from tfmr.data.corpus import prepare_corpus
from tfmr.data.files import write_bytes_atomically
from tfmr.data.tokenizer import Tokenizer
from tfmr.data.unfinished_folder import RECORD, UnfinishedFolder
from tfmr.errors import InputError

SENTENCES = [f"The old woman sees {n} dogs and\u2028 {n * n} cats" for n in range(25)]


@pytest.fixture(params=["pairs", "text", "documents"])
def make(request, tmp_path, monkeypatch):
    """Makes the configuration of a small corpus of any kind, with a cache of its own, whose progress is saved often."""
    monkeypatch.setattr(unfinished_folder, "_EVERY", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # for time
    monkeypatch.setattr(chunks, "_ITEMS", 11)
    monkeypatch.setattr(running_text, "_PIECE", 100)
    monkeypatch.setattr(running_text, "_BATCH", 400)
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in [*SENTENCES, ""]))
    (folder / "val.tsv").write_text("".join(f"{line}\t🤖\n" for line in SENTENCES[:12]))
    (folder / "test.tsv").write_text("a\tb\n")
    (folder / "text").write_text("\n".join(SENTENCES))

    def make(name: str):
        common = {"cache": str(tmp_path / name), "vocab_size": 290}
        if request.param == "pairs":
            return PairsConfig(corpus="text", dir=str(folder), tokenizer="characters", **common)
        separator = "\n" if request.param == "documents" else ""
        return RunningTextConfig(
            files=(str(folder / "text"),), validation_share=0.3, document_separator=separator, **common
        )

    return make


def content(prepared) -> dict[str, bytes]:
    """Returns the bytes of each file of a prepared corpus, the only entry of its folder."""
    assert list(prepared.directory.parent.iterdir()) == [prepared.directory]
    return {path.name: path.read_bytes() for path in prepared.directory.iterdir()}


class Stopped(BaseException):
    pass


@contextlib.contextmanager
def stopped_at(monkeypatch, number: int):
    """Raises Stopped at this write to a file, when half of it is written; yields the list of all writes."""
    writes = []

    def stopping(write, half):
        def counted(target, values, *rest):
            writes.append(target)
            if len(writes) == number + 1:
                half(target, values)
                raise Stopped
            return write(target, values, *rest)

        return counted

    def half_an_array(array, values):
        append(array, values[: len(values) // 2])

    def half_of_the_lines(path, lines):
        write_lines(path, [*lines[: len(lines) // 2], "half a li"])

    append, write_lines = token_arrays._ArrayFile.append, prepare._append_lines
    with monkeypatch.context() as patch, contextlib.suppress(Stopped):
        patch.setattr(token_arrays._ArrayFile, "append", stopping(append, half_an_array))
        patch.setattr(prepare, "_append_lines", stopping(write_lines, half_of_the_lines))
        for module, name in ((prepare, "write_manifest"), (running_text, "write_manifest")):
            patch.setattr(module, name, stopping(getattr(module, name), getattr(module, name)))
        patch.setattr(
            unfinished_folder,
            "write_bytes_atomically",
            stopping(write_bytes_atomically, lambda path, data: Path(f"{path}.tmp-1").write_bytes(data[:9])),
        )
        yield writes


@pytest.mark.parametrize("make", ["pairs"], indirect=True)
def test_a_short_preparation_waits_for_no_disk(make, monkeypatch):
    monkeypatch.setattr(unfinished_folder, "_EVERY", 30.0)
    monkeypatch.setattr(os, "fsync", None)
    whole = content(prepare_corpus(make("whole")))
    with stopped_at(monkeypatch, 18):
        prepare_corpus(make("stopped"))
    assert content(prepare_corpus(make("stopped"))) == whole


def test_a_stop_at_any_write_changes_nothing(make, monkeypatch):
    whole = content(prepare_corpus(make("whole")))
    assert RECORD not in whole
    for number in range(0, 1000, 7):
        config = make(f"stopped{number}")
        with stopped_at(monkeypatch, number) as writes:
            prepare_corpus(config)
        if len(writes) <= number:  # it has ended before
            break
        assert content(prepare_corpus(config)) == whole
    assert number > 20


def test_stopped_after_each_record_it_does_nothing_twice(make, monkeypatch, caplog):
    encoded, trained = [], []
    encode, train = Tokenizer.encode_batch, Tokenizer.train
    monkeypatch.setattr(Tokenizer, "encode_batch", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    monkeypatch.setattr(Tokenizer, "train", lambda *args, **options: trained.append(args[0]) or train(*args, **options))
    whole = content(prepare_corpus(make("whole")))
    pieces = list(encoded)
    encoded.clear()
    assert len(trained) == 1
    save = UnfinishedFolder.save

    def save_and_stop(*arguments, **options):
        save(*arguments, **options)
        raise Stopped

    monkeypatch.setattr(UnfinishedFolder, "save", save_and_stop)
    caplog.set_level(logging.INFO, "tfmr")
    while True:
        with contextlib.suppress(Stopped):
            prepared = prepare_corpus(make("stopped"))
            break
    assert content(prepared) == whole
    assert sorted(encoded) == sorted(pieces)
    assert len(trained) == 2
    complete = ["tokenizer", "train", "validation", *(["test"] if "test.source.txt" in whole else [])]
    for number in range(1, len(complete) + 1):
        stages = ", ".join(complete[:number])
        assert f"Continuing a preparation that was stopped; already complete: {stages}\n" in caplog.text
    for split in ("train", "validation"):
        assert f"Continuing {split} after " in caplog.text


_KILLED = """
import os, signal, sys
from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data import chunks, running_text, unfinished_folder
from tfmr.data.corpus import prepare_corpus
unfinished_folder._EVERY, chunks._ITEMS, running_text._PIECE, running_text._BATCH = 0.0, 11, 100, 400
save = unfinished_folder.UnfinishedFolder.save
def save_and_die(folder, stage, counts, **options):
    if stage == "validation":
        os.kill(os.getpid(), signal.SIGKILL)
    save(folder, stage, counts, **options)
unfinished_folder.UnfinishedFolder.save = save_and_die
prepare_corpus(eval(sys.argv[1]))
"""


@pytest.mark.parametrize("make", ["pairs"], indirect=True)
def test_a_killed_process(make, monkeypatch, caplog):
    whole = content(prepare_corpus(make("whole")))
    command = [sys.executable, "-c", _KILLED, repr(make("killed"))]
    assert subprocess.run(command, check=False).returncode == -9
    left = {path.suffix for path in Path(make("killed").cache, "prepared").iterdir()}
    assert left == {".part", ".lock"}
    with caplog.at_level(logging.INFO, "tfmr"):
        assert content(prepare_corpus(make("killed"))) == whole
    assert "stopped; already complete: tokenizer, train\n" in caplog.text


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("make", ["pairs"], indirect=True)
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train.source.tokens.npy", cut),
        ("tokenizer.json", Path.unlink),
        (RECORD, cut),
        (RECORD, lambda path: path.write_text('{"stages": {"train": 1}}')),
        (RECORD, lambda path: path.write_text('{"stages": {"train": {"some": 1}}}')),
    ],
)
def test_a_damaged_folder_is_begun_again(make, monkeypatch, caplog, name, damage):
    whole = content(prepare_corpus(make("whole")))
    with stopped_at(monkeypatch, 18):
        prepare_corpus(make("stopped"))
    (part,) = Path(make("stopped").cache, "prepared").glob("*.part")
    assert set(json.loads((part / RECORD).read_text())["stages"]) == {"tokenizer", "train"}
    damage(part / name)
    assert content(prepare_corpus(make("stopped"))) == whole
    assert f"{part / name}: is damaged; the preparation starts again" in caplog.text


@pytest.mark.parametrize("make", ["pairs"], indirect=True)
def test_a_second_process_waits_for_the_first(make, monkeypatch, caplog):
    write, runs = prepare._write, []
    begun, go_on = threading.Event(), threading.Event()

    def write_slowly(*arguments):
        runs.append(1)
        begun.set()
        assert go_on.wait(30)
        write(*arguments)

    monkeypatch.setattr(prepare, "_write", write_slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(prepare_corpus(make("one")))) for _ in range(2)]
    with caplog.at_level(logging.INFO, "tfmr"):
        threads[0].start()
        assert begun.wait(30)
        threads[1].start()
        while "Waiting for" not in caplog.text:
            time.sleep(0.001)
        go_on.set()
        for thread in threads:
            thread.join(30)
    assert f"Waiting for process {os.getpid()} on host" in caplog.text
    assert len(runs) == 1
    assert content(found[0]) == content(found[1])


@pytest.mark.parametrize("make", ["pairs"], indirect=True)
def test_without_locks_the_first_of_two_processes_gives_up(make, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    write = prepare._write
    whole = []

    def write_while_another_prepares(*arguments):
        monkeypatch.setattr(prepare, "_write", write)
        whole.append(content(prepare_corpus(make("one"))))
        write(*arguments)

    monkeypatch.setattr(prepare, "_write", write_while_another_prepares)
    with pytest.raises(InputError, match=r"another process is preparing the same corpus|cannot be used .No such file"):
        prepare_corpus(make("one"))
    assert content(prepare_corpus(make("one"))) == whole[0]


@pytest.mark.parametrize("make", ["text"], indirect=True)
def test_what_is_wrong_with_the_text_leaves_nothing_and_a_failing_disk_does(make, monkeypatch):
    whole = content(prepare_corpus(make("whole")))
    reading, calls = lines.reading, []

    def fail_later(path):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.EIO, "the disk fails")
        return reading(path)

    @contextlib.contextmanager
    def as_reading_says_it(path):
        try:
            with fail_later(path) as file:
                yield file
        except OSError as error:
            raise InputError(f"cannot be read ({error})") from None

    with monkeypatch.context() as patch:
        patch.setattr(lines, "reading", as_reading_says_it)
        with pytest.raises(InputError, match="cannot be read"):
            prepare_corpus(make("one"))
    folder = Path(make("one").cache, "prepared")
    assert [path.suffix for path in folder.iterdir()] == [".part"]
    Path(make("one").files[0]).write_text("")
    with pytest.raises(InputError, match="no text is left for training"):
        prepare_corpus(make("other"))
    assert list(Path(make("other").cache, "prepared").iterdir()) == []
    Path(make("one").files[0]).write_text("\n".join(SENTENCES))
    assert content(prepare_corpus(make("one"))) == whole


@pytest.mark.parametrize("make", ["text"], indirect=True)
def test_folders_that_nobody_continues_are_removed(make, monkeypatch):
    with stopped_at(monkeypatch, 12):
        prepare_corpus(make("one"))
    folder = Path(make("one").cache, "prepared")
    (part,) = folder.iterdir()
    for name, days in (("old.part", 8), ("new.part", 6), ("old.lock", 8)):
        (folder / name).mkdir()
        os.utime(folder / name, (long_ago := time.time() - days * 24 * 3600, long_ago))
    prepare_corpus(make("one"))
    assert {path.name for path in folder.iterdir()} == {part.stem, "new.part"}
