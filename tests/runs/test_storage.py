"""Folders that cannot be used are told in one line."""

import errno
import sys

import pytest

from tfmr.errors import InputError
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.storage import check_writable, is_remote, storage_path, write_text, writing_named


def test_another_kind_of_folder_is_refused():
    with pytest.raises(InputError, match=r"^hdfs://a/b: hdfs:// is not supported; use .*gs://BUCKET/RUN$"):
        RunDirectory("hdfs://a/b")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"^gs://bucket/run: gs:// paths require gcsfs \(.*\); run: pip install gcsfs"):
        RunDirectory.open("gs://bucket/run")


def test_a_local_path_is_a_local_path(tmp_path):
    assert storage_path(tmp_path) == tmp_path
    assert not is_remote(storage_path("runs/a:b"))


def test_a_name_that_the_locale_cannot_read_is_told():
    with pytest.raises(
        InputError, match=r"gr\\udcc3\\udcb6sse'.*cannot be encoded as UTF-8 in this locale.*set PYTHONUTF8=1"
    ):
        RunDirectory("runs/gr\udcc3\udcb6sse")


def test_looking_whether_it_can_be_written_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_what_the_disk_says_becomes_one_line(tmp_path, number):
    line = rf"^{tmp_path}: cannot be written to \(.+\); free up space.*; it is safe$"
    with pytest.raises(InputError, match=line), writing_named(tmp_path, lambda: "it is safe"):
        raise OSError(number, "what the library says\nin two lines")


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (ValueError("shapes differ"), OSError(errno.EBADF, "closed"), RuntimeError("RESOURCE_EXHAUSTED")):
        with pytest.raises(type(error)) as found, writing_named(tmp_path):
            raise error
        assert found.value is error


def test_a_file_that_could_not_be_written_is_as_it_was(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "before")
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        write_text(tmp_path / "file", "after")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]
