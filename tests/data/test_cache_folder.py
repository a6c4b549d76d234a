"""A cache folder that cannot be used is named, with the option that chooses another."""

import dataclasses
import errno
import os
from pathlib import Path

import pytest

from tfmr.config import PairsConfig, RunningTextConfig
from tfmr.data.corpora import multi30k
from tfmr.data.corpus import prepare_corpus
from tfmr.data.token_arrays import TokenWriter
from tfmr.errors import InputError


@pytest.fixture(params=["pairs", "text"])
def config(request, tmp_path):
    """The configuration of a corpus of either kind, whose cache is tmp_path / "cache"."""
    text = "".join(f"line {number} of some text\n" for number in range(400))
    (tmp_path / "text").write_text(text)
    cache = {"cache": str(tmp_path / "cache"), "vocab_size": 300}
    file = str(tmp_path / "text")
    if request.param == "pairs":
        return PairsConfig(corpus="text", source_file=file, target_file=file, **cache)
    return RunningTextConfig(files=(file,), validation_share=0.1, **cache)


def refused(config, tmp_path, reason):
    with pytest.raises(InputError) as error:
        prepare_corpus(config)
    assert str(error.value).startswith(f"{tmp_path}/cache: the folder for prepared corpora cannot be used ({reason}")
    assert str(error.value).endswith("choose another with --data.cache")
    assert "\n" not in str(error.value)


def test_a_file_in_its_place(config, tmp_path):
    (tmp_path / "cache").write_text("here")
    refused(config, tmp_path, "Not a directory")


def test_a_file_above_it(config, tmp_path):
    (tmp_path / "above").write_text("here")
    (tmp_path / "cache").symlink_to(tmp_path / "above" / "cache")
    refused(config, tmp_path, "")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_one_that_is_read_only(config, tmp_path, monkeypatch, number):
    mkdir = os.mkdir

    def refuse(path, *args):
        if str(path).startswith(str(tmp_path / "cache")):
            raise OSError(number, os.strerror(number), str(path))
        mkdir(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        refused(config, tmp_path, os.strerror(number))
    prepared = prepare_corpus(config)
    # What is prepared already is only read.
    monkeypatch.setattr(os, "mkdir", refuse)
    assert prepare_corpus(config).content_hash() == prepared.content_hash()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOTCONN])
def test_one_that_is_full_or_gone(config, tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(TokenWriter, "close", fail)
        refused(config, tmp_path, os.strerror(number))
    # What was written is used once there is space.
    (left,) = (tmp_path / "cache" / "prepared").iterdir()
    assert left.suffix == ".part"
    (prepared,) = [prepare_corpus(config).directory]
    assert list((tmp_path / "cache" / "prepared").iterdir()) == [prepared]


def test_one_of_a_user_that_does_not_exist(config):
    with pytest.raises(
        InputError, match="~no-such-user/cache: cannot find the home directory ~no-such-user; give the full"
    ):
        prepare_corpus(dataclasses.replace(config, cache="~no-such-user/cache"))


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json"])
def test_a_storage_that_fails_is_not_called_a_damaged_corpus(config, tmp_path, monkeypatch, name):
    prepared = prepare_corpus(config)
    whole = Path.open

    def fail(path, *args, **kwargs):
        if path.name == name and path.is_relative_to(tmp_path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return whole(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", fail)
    refused(config, tmp_path, os.strerror(errno.EIO))
    monkeypatch.setattr(Path, "open", whole)
    assert prepare_corpus(config).content_hash() == prepared.content_hash()


def test_other_errors_stay_what_they_are(config, tmp_path, monkeypatch):
    for error in (OSError(errno.ENOENT, "no file", "/elsewhere/file"), OSError(errno.EMFILE, "too many")):
        monkeypatch.setattr(TokenWriter, "close", lambda *_, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(OSError, match=r"no file|too many") as found:
            prepare_corpus(config)
        assert found.value is error


def test_a_full_disk_is_not_called_a_failed_download(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("content")
    url = (tmp_path / "file").as_uri()

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(multi30k.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="full"):
        multi30k._download(url, tmp_path / "downloads" / "file", None)
    assert list((tmp_path / "downloads").iterdir()) == []
