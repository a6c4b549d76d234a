"""Weights by flat names, and their files: what goes out comes in, and all that does not fit is named at once."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_transformers import BASE, BIASED, CONFIGS, LEARNED, RECURRENT, UNTIED, params_of

from tfmr.errors import InputError
from tfmr.interop import flatten, load_safetensors, save_safetensors, unflatten, weight_shapes
from tfmr.interop.weights import read_arrays, write_arrays
from tfmr.nn import stack_layers

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("float32")}


@CONFIGS
def test_flat_names_and_back(config):
    weights = flatten(params_of(config))
    assert all(isinstance(x, np.ndarray) for x in weights.values())
    assert {name: x.shape for name, x in weights.items()} == weight_shapes(config)
    np.testing.assert_array_equal(
        weights["encoder.layer_0.self_attention.query"],
        params_of(config)["encoder"]["layer_0"]["self_attention"]["query"],
    )
    assert_same(unflatten(weights, config), params_of(config))


def test_scanned_layers_have_the_names_of_a_loops():
    scan = dataclasses.replace(UNTIED, scan_layers=True)
    stacked = stack_layers(params_of(UNTIED))
    weights = flatten(stacked)
    assert weights.keys() == flatten(params_of(UNTIED)).keys()
    assert_same(unflatten(weights, scan), stacked)


def test_half_precision_becomes_float32():
    weights = flatten(params_of(BASE))
    for dtype in (jnp.bfloat16, np.float16):
        found = flatten(unflatten({name: x.astype(dtype) for name, x in weights.items()}, BASE))
        for name, x in weights.items():
            np.testing.assert_array_equal(found[name], x.astype(dtype).astype(np.float32))


def test_every_fault_is_named_in_one_line():
    weights = flatten(params_of(BASE))
    del weights["encoder.layer_0.feed_forward.up.bias"], weights["embedding.embedding"]
    weights["decoder.layer_0.norm.gamma"] = np.zeros(3)
    weights["encoder.layer_0.self_attention.query"] = np.zeros((3, 16, 4))
    weights["encoder.layer_0.self_attention.key"] = np.zeros((16, 3, 4), int)
    with pytest.raises(InputError) as raised:
        unflatten(weights, BASE, "theirs")
    message = str(raised.value)
    assert message.startswith("theirs: ")
    assert "\n" not in message
    for fault in (
        "missing: embedding.embedding (19, 16), encoder.layer_0.feed_forward.up.bias (24,)",
        "unknown: decoder.layer_0.norm.gamma (3,)",
        "wrong shape: encoder.layer_0.self_attention.query (3, 16, 4) instead of (16, 3, 4)",
        "not real numbers: encoder.layer_0.self_attention.key",
    ):
        assert fault in message


def test_the_document_lists_every_name():
    table = re.findall(r"^\| `([^`]+)` \| `\[([^\]]*)\]`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    sizes = dict(V=19, d_model=16, d_ff=24, h=3, d_k=4, d_v=6, max_length=12, relative_buckets=32)
    documented = {name: tuple(sizes[size.strip()] for size in shape.split(",")) for name, shape in table}
    expected = {}
    by_layer = dataclasses.replace(BASE, positions="relative_by_layer")
    for config in (BASE, LEARNED, dataclasses.replace(UNTIED, gated=True), BIASED, RECURRENT, by_layer):
        for name, shape in weight_shapes(config).items():
            expected[re.sub(r"layer_\d+", "layer_0", name)] = shape
    attention = [f"{x}_attention" for x in ("encoder.layer_0.self", "decoder.layer_0.self", "decoder.layer_0.cross")]
    feed_forward = ["encoder.layer_0.feed_forward", "decoder.layer_0.feed_forward"]
    norms = [f"{block}_norm" for block in [*attention, "decoder.layer_0.recurrence", *feed_forward]] + [
        "encoder.norm",
        "decoder.norm",
    ]
    kinds = {"ATTENTION": attention, "FEED_FORWARD": feed_forward, "NORM": norms}
    for name, shape in documented.items():  # each kind of block is documented once
        kind, _, rest = name.partition(".")
        for path in [f"{block}.{rest}" for block in kinds[kind]] if kind in kinds else [name]:
            assert expected.pop(path, None) == shape, path
    assert expected == {}


class TestFiles:
    def test_the_model_and_its_shape_come_back(self, tmp_path):
        file = tmp_path / "new" / "model.safetensors"
        save_safetensors(file, BIASED, params_of(BIASED))
        config, params = load_safetensors(file)
        assert config == BIASED
        assert_same(params, params_of(BIASED))
        assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"]

    def test_another_shape_or_none_is_refused(self, tmp_path):
        save_safetensors(tmp_path / "a", BASE, params_of(BASE))
        with pytest.raises(InputError, match=r"missing: encoder\.layer_1\.feed_forward\.down\.bias \(16,\), "):
            load_safetensors(tmp_path / "a", dataclasses.replace(BASE, num_encoder_layers=2))
        weights, metadata = read_arrays(tmp_path / "a")
        write_arrays(tmp_path / "b", weights, {})
        with pytest.raises(InputError, match="pass config="):
            load_safetensors(tmp_path / "b")
        assert_same(load_safetensors(tmp_path / "b", BASE)[1], params_of(BASE))
        for wrong in ('{"d_model": 0}', "{", "3", '{"width": 3}'):
            (tmp_path / "c").unlink(missing_ok=True)
            write_arrays(tmp_path / "c", weights, {**metadata, "tfmr.model": wrong})
            with pytest.raises(InputError, match="not a model configuration"):
                load_safetensors(tmp_path / "c")

    def test_a_missing_or_damaged_file_is_one_line(self, tmp_path):
        file = tmp_path / "model.safetensors"
        with pytest.raises(InputError, match="file not found"):
            load_safetensors(file)
        save_safetensors(file, BASE, params_of(BASE))
        whole = file.read_bytes()
        for damaged in (b"", whole[:-1], whole[:100], b"\x80" * 200, json.dumps({}).encode()):
            file.write_bytes(damaged)
            with pytest.raises(InputError, match="cannot be read as safetensors") as raised:
                load_safetensors(file)
            assert "\n" not in str(raised.value)

    def test_nothing_is_written_over_or_left_half_written(self, tmp_path):
        file = tmp_path / "model.safetensors"
        file.write_bytes(b"mine")
        with pytest.raises(InputError, match="already exists"):
            save_safetensors(file, BASE, params_of(BASE))
        assert file.read_bytes() == b"mine"
        with pytest.raises(InputError, match="cannot be written"):
            save_safetensors(file / "below", BASE, params_of(BASE))
        assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
