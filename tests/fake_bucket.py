"""A stand-in for a bucket: gs:// paths in a folder, for the paths (etils.epath) and for the arrays (tensorstore).

Like an object store it knows no appending and lets a name be a folder only through what lies in it.
"""

import inspect
import os
from pathlib import Path

from etils.epath import backend, gpath
from orbax.checkpoint._src.path import gcs_utils


def install(monkeypatch, folder: Path) -> None:
    """Lets gs://NAME be a folder NAME below `folder`."""

    def local(path):
        text = os.fspath(path)
        return str(folder / text.removeprefix("gs://")) if text.startswith("gs://") else text

    class Bucket(type(backend.os_backend)):
        def open(self, path, mode):
            assert "a" not in mode, "an object cannot be added to"
            if "w" in mode:  # an object needs no folder to be made first
                os.makedirs(os.path.dirname(local(path)), exist_ok=True)
            return super().open(local(path), mode)

        def glob(self, path):
            found = super().glob(local(path))
            return [f"gs://{Path(file).relative_to(folder)}" if file != path else file for file in found]

    def redirected(name):
        method = getattr(type(backend.os_backend), name)

        def call(self, path, *rest, **options):
            return method(self, local(path), *map(local_if_path, rest), **options)

        return call

    def local_if_path(value):
        return local(value) if isinstance(value, str | os.PathLike) else value

    for name, _ in inspect.getmembers(type(backend.os_backend), inspect.isfunction):
        if not name.startswith("_") and name not in ("open", "glob", "walk"):
            setattr(Bucket, name, redirected(name))
    monkeypatch.setitem(gpath._PREFIX_TO_BACKEND, "gs", Bucket())
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)

    def kvstore(path):
        # All but this one is a folder, of which the driver for files wants to be told by a slash.
        return {"driver": "file", "path": local(path).rstrip("/") + ("" if path.endswith("/_sharding") else "/")}

    monkeypatch.setattr(gcs_utils, "get_kvstore_for_gcs", kvstore)
    monkeypatch.setattr(gcs_utils, "is_hierarchical_namespace_enabled", lambda path: False)
