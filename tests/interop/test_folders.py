"""Folders of weights in one file or several, and what is wrong with others."""

import json

import numpy as np
import pytest

from tfmr.errors import InputError
from tfmr.interop.folders import read_run, read_weights, require_no_missing
from tfmr.interop.weights import write_arrays

WEIGHTS = {f"layer.{i}.weight": np.full((2, 3), i, np.float32) for i in range(5)}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """The weights in two files with an index, as transformers writes large models."""
    names = list(WEIGHTS)
    shards = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for file, part in shards.items():
        write_arrays(tmp_path / file, {name: WEIGHTS[name] for name in part}, {"format": "pt"})
    where = {name: file for file, part in shards.items() for name in part}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {"total_size": 120}, "weight_map": where}))
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(InputError) as raised:
        read_weights(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_weights_in_several_files_are_read_as_from_one(folder, tmp_path_factory):
    single = tmp_path_factory.mktemp("single")
    write_arrays(single / "model.safetensors", WEIGHTS, {})
    for weights in (read_weights(folder), read_weights(single)):
        assert weights.keys() == WEIGHTS.keys()
        for name, x in WEIGHTS.items():
            np.testing.assert_array_equal(weights[name], x)


def test_half_a_download_is_named(folder):
    second = folder / "model-00002-of-00002.safetensors"
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) - 7])
    message = refused(folder)
    assert f"{second}: cannot be read as safetensors" in message
    assert "copy or convert it again" in message
    second.unlink()
    assert f"1 of the 2 weight files that {INDEX} lists are missing: {second.name}; download" in refused(folder)


def test_a_pointer_of_git_lfs_is_named(folder):
    second = folder / "model-00002-of-00002.safetensors"
    second.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 123\n")
    assert refused(folder) == f"{second}: is a Git LFS pointer, not the file; run git lfs pull in {folder}"


def test_a_wrong_index_is_named(folder):
    where = json.loads((folder / INDEX).read_text())["weight_map"]
    write_index = (folder / INDEX).write_text
    write_index(json.dumps({"weight_map": where | {"lm_head.weight": "model-00002-of-00002.safetensors"}}))
    assert "lm_head.weight is not in model-00002-of-00002.safetensors, where" in refused(folder)
    write_index(json.dumps({"weight_map": where | {"x": "../outside.safetensors"}}))
    assert "'../outside.safetensors' is not the name of a file in the same folder" in refused(folder)
    for content in ("{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}'):
        write_index(content)
        assert f"{INDEX}: has no weight_map" in refused(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00003.bin"])
def test_pickles_alone_are_not_read_but_what_to_do_is_said(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"does not unpickle {name}; convert it where torch .*import AutoModel as M"):
        require_no_missing(tmp_path, ["model.safetensors"], "everything", "AutoModel")


def test_a_folder_without_a_type_is_refused(folder):
    (folder / "config.json").write_text("{}")
    names = r".*BART.*GPT-2.*Marian.*mBART.*T5"
    with pytest.raises(InputError, match=rf"config\.json has no model_type; tfmr imports folders of {names}"):
        read_run(folder)
