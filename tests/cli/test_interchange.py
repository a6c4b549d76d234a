"""`tfmr export` and `tfmr import` as a user calls them."""

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_runs import DECODING, LINES, make_language_model, make_run

from tfmr.cli import _dispatch
from tfmr.config import Config, DecodingConfig, GenerationConfig, PairsConfig
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.interop import flatten, read_gpt2, read_marian, save_safetensors
from tfmr.language_model import Generator
from tfmr.runs import RunDirectory, load_run
from tfmr.translation import Translator


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    return make_run(tmp_path_factory.mktemp("interchange") / "run")


@pytest.fixture(scope="module")
def pre_norm(tmp_path_factory) -> str:
    return make_run(tmp_path_factory.mktemp("interchange") / "run", norm="pre", d_k=4)


@pytest.fixture(scope="module")
def marian(run, tmp_path_factory) -> Path:
    """The run as a Marian folder."""
    folder = tmp_path_factory.mktemp("interchange") / "marian"
    _dispatch(["export", run, "--format", "marian", "--output", str(folder)])
    return folder


def refused(*arguments) -> str:
    with pytest.raises(InputError) as raised:
        _dispatch([str(argument) for argument in arguments])
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_out_to_a_file_and_in_again(run, tmp_path, capsys):
    file, again = tmp_path / "model.safetensors", tmp_path / "again"
    _dispatch(["export", run, "--output", str(file)])
    _dispatch(["import", str(file), str(again), "--tokenizer", f"{run}/tokenizer.json"])
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {file}",
        f"created {again}; to use it: tfmr translate {again}",
    ]
    (config, _, params), (found, _, same) = load_run(run), load_run(again)
    assert found == config
    np.testing.assert_array_equal(
        same["decoder"]["layer_1"]["feed_forward"]["up"]["kernel"],
        params["decoder"]["layer_1"]["feed_forward"]["up"]["kernel"],
    )
    decoding = dataclasses.replace(config.decoding, beam_size=1, extra_length=5)
    translators = [Translator.from_run(folder, config=decoding) for folder in (run, again)]
    assert translators[0].translate(LINES[:3]) == translators[1].translate(LINES[:3])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "model.safetensors"]


def test_a_run_is_read_by_a_relative_path(run, monkeypatch):
    monkeypatch.chdir(Path(run).parent)
    assert load_run(Path(run).name)[0] == load_run(run)[0]


def test_marian_needs_neither_torch_nor_transformers(marian):
    files = {path.name for path in marian.iterdir()}
    assert files == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "tfmr.json"),
    }
    assert json.loads((marian / "config.json").read_text())["decoder_start_token_id"] == 2
    loaded = {name.split(".")[0] for name in sys.modules}
    assert "torch" not in loaded or "transformers" in loaded  # only where other tests loaded them


@pytest.mark.parametrize(
    "kind",
    ["bpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("wordpiece", "characters"))],
)
def test_an_exported_marian_comes_back(kind, tmp_path):
    """Bit for bit, because this model's norms have Marian's epsilon."""
    run = make_run(tmp_path / "run", kind=kind, norm_epsilon=1e-5, dtype="bfloat16", scan_layers=True)
    data = PairsConfig(corpus="text", target_language="zh", bleu_tokenizer="char", tokenizer=kind)
    decoding = dataclasses.replace(DECODING, length_penalty="gnmt", max_length=30, forbidden=("dog",))
    RunDirectory(run).write_config(dataclasses.replace(load_run(run)[0], data=data, decoding=decoding))
    _dispatch(["export", run, "--format", "marian", "--output", str(tmp_path / "marian")])
    _dispatch(["import", str(tmp_path / "marian"), str(tmp_path / "again")])
    assert_same_run(tmp_path / "again", run)
    # Settings that were changed in Marian's own file are those that are meant.
    file = tmp_path / "marian" / "generation_config.json"
    values = json.loads(file.read_text())
    assert (values["num_beams"], values["max_length"]) == (4, 31)
    file.write_text(json.dumps(values | {"num_beams": 2, "length_penalty": 0.5}))
    _dispatch(["import", str(tmp_path / "marian"), str(tmp_path / "changed")])
    changed = DecodingConfig(beam_size=2, length_penalty="power", alpha=0.5, max_length=30)
    assert load_run(tmp_path / "changed")[0] == dataclasses.replace(load_run(run)[0], decoding=changed)


def test_an_exported_marian_translates_as_before(run, marian, tmp_path):
    """Also with norms of another epsilon, for which the weights are rescaled."""
    _dispatch(["import", str(marian), str(tmp_path / "again")])
    config, found = (load_run(folder)[0] for folder in (run, tmp_path / "again"))
    assert config.model.norm_epsilon != 1e-5
    assert found == dataclasses.replace(config, model=dataclasses.replace(config.model, norm_epsilon=1e-5))
    decoding = dataclasses.replace(config.decoding, beam_size=1, extra_length=5)
    translations = [
        Translator.from_run(folder, config=decoding).translate(LINES[:9]) for folder in (run, tmp_path / "again")
    ]
    assert translations[0] == translations[1]


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"pad_token_id": 5}, "tokenizer.json: its token ids do not match config.json"),
        ("tokenizer.json", {"model": {"type": "Unigram"}}, "contains a Unigram model"),
        ("generation_config.json", {"num_beams": "4"}, "generation_config.json: num_beams = '4', must be"),
        ("generation_config.json", {"length_penalty": -1.0}, "generation_config.json: decoding.alpha = -1.0"),
        ("tfmr.json", {"data": {"corpse": ""}}, "tfmr.json: unknown config key 'data.corpse'"),
        ("tfmr.json", {"model": {"kind": "causal_lm"}}, "tfmr.json: "),
    ],
)
def test_a_changed_marian_folder_is_refused(marian, file, changes, message, tmp_path):
    folder = Path(shutil.copytree(marian, tmp_path / "marian"))
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(values | changes))
    assert message in refused("import", folder, tmp_path / "new")


def test_what_cannot_be_exported_is_said_before_anything_is_written(pre_norm, tmp_path):
    message = refused("export", pre_norm, "--format", "marian", "--output", tmp_path / "out")
    assert "Marian cannot represent this model: model.norm = 'pre'" in message
    assert "model.d_k = 4" in message
    message = refused("export", pre_norm, "--format", "ctranslate2", "--output", tmp_path / "out")
    assert "CTranslate2 cannot represent this model: model.d_v = 8, must be model.d_k = 4" in message
    assert list(tmp_path.iterdir()) == []


def test_a_language_model_goes_out_and_in_as_gpt2(tmp_path, capsys):
    run, out, again = make_language_model(tmp_path / "run"), tmp_path / "out", tmp_path / "again"
    _dispatch(["export", run, "--format", "gpt2", "--output", str(out)])
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "tfmr.json"),
    }
    assert json.loads((out / "generation_config.json").read_text())["suppress_tokens"] == [0, 1, 2]
    _dispatch(["import", str(out), str(again)])
    assert (
        capsys.readouterr().out.splitlines()[-1] == f"created {again}; to use it: tfmr generate {again} --prompt TEXT"
    )
    config = GenerationConfig(temperature=0.0, max_new_tokens=20)
    first, second = (Generator.from_run(folder, config=config).generate(LINES[:3]) for folder in (run, again))
    assert first == second
    assert_same_run(again, run)


def assert_same_run(found, expected):
    """Compares all that a run directory needs to be used."""
    (config, tokenizer, params), (same, cut, weights) = load_run(expected), load_run(found)
    assert same == config
    assert cut.to_json() == tokenizer.to_json()
    params, weights = flatten(params), flatten(weights)
    assert weights.keys() == params.keys()
    for name, x in params.items():
        np.testing.assert_array_equal(weights[name], x, err_msg=name)


@pytest.mark.parametrize("output", ["folder", "file"])
@pytest.mark.parametrize("kind", ["translation", "language model"])
def test_what_no_other_program_can_hold_comes_back_whole(kind, output, tmp_path, capsys):
    """Such as fewer positions than training sentences may have tokens by default."""
    odd: dict[str, Any] = dict(d_k=4, d_v=12, max_length=24, positions="learned")
    if kind == "translation":
        run, command = make_run(tmp_path / "run", norm="pre", **odd), "tfmr translate {}"
    else:
        run = make_language_model(tmp_path / "run", documents=False, norm="post", gated=True, **odd)
        command = "tfmr generate {} --prompt TEXT"
    out, again = tmp_path / "out", tmp_path / "again"
    options = {"folder": ["--format", "tfmr"], "file": []}[output]
    _dispatch(["export", run, *options, "--output", str(out)])
    tokenizer = [] if output == "folder" else ["--tokenizer", f"{run}/tokenizer.json"]
    _dispatch(["import", str(out), str(again), *tokenizer])
    assert capsys.readouterr().out.splitlines()[-1] == f"created {again}; to use it: {command.format(again)}"
    assert_same_run(again, run)
    if output == "folder":
        assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
        assert "contains a model of type 'tfmr', and is not a run" in refused("translate", out)


def test_a_file_of_an_earlier_version_is_imported_if_it_is_for_translation(tmp_path):
    """Such a file has the shape of the model only."""
    runs = [
        make_run(tmp_path / "pairs", positions="learned", max_length=24),
        make_language_model(tmp_path / "text"),
    ]
    models = [load_run(run)[0].model for run in runs]
    for run, model in zip(runs, models, strict=True):
        save_safetensors(f"{run}.safetensors", model, load_run(run)[2])
    first, second = (
        ["import", f"{run}.safetensors", f"{run}.again", "--tokenizer", f"{run}/tokenizer.json"] for run in runs
    )
    _dispatch(first)
    assert load_run(first[2])[0] == Config(model=models[0], data=PairsConfig(corpus="text", max_length=24))
    assert "export it again with --format tfmr" in refused(*second)


def test_the_tokenizer_of_another_model_is_refused(run, tmp_path):
    file, other = tmp_path / "model.safetensors", tmp_path / "tokenizer.json"
    _dispatch(["export", run, "--output", str(file)])
    Tokenizer.train("bpe", ["quite another text"], 300).save(other)
    message = refused("import", file, tmp_path / "again", "--tokenizer", other)
    assert f"is not the tokenizer of the model in {file}" in message
    # A file of an earlier version does not know its tokenizer.
    config, _, params = load_run(run)
    save_safetensors(tmp_path / "old", config.model, params)
    _dispatch(["import", str(tmp_path / "old"), str(tmp_path / "again"), "--tokenizer", str(other)])
    assert load_run(tmp_path / "again")[1].to_json() == Tokenizer.from_file(other).to_json()


def test_a_format_for_the_other_kind_of_model_is_refused(run, tmp_path):
    output = ["--output", tmp_path / "out"]
    assert "gpt2: cannot represent a model of kind transformer" in refused("export", run, "--format", "gpt2", *output)
    language_model = make_language_model(tmp_path / "run", gated=True)
    for kind in ("marian", "ctranslate2"):
        assert "choose one of gpt2" in refused("export", language_model, "--format", kind, *output)
    assert "model.gated = True, must be False; export it with --format tfmr" in refused(
        "export", language_model, "--format", "gpt2", *output
    )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_wrong_arguments_are_one_line(run, tmp_path):
    (tmp_path / "there").mkdir()
    assert "--output: missing" in refused("export", run)
    for kind in ("marian", "safetensors"):
        message = refused("export", run, "--format", kind, "--output", tmp_path / "there")
        assert "already exists" in message
    assert ": not a run directory" in refused("export", tmp_path / "there", "--output", tmp_path / "x")
    assert "--format = 'onnx': must be one of" in refused("export", run, "--format", "onnx", "--output", "x")
    assert "already exists" in refused("import", tmp_path, tmp_path / "there")
    assert "folder not found" in refused("import", tmp_path / "nowhere", tmp_path / "new")
    assert "has no config.json and no model.safetensors" in refused("import", tmp_path / "there", tmp_path / "new")
    _dispatch(["export", run, "--output", str(tmp_path / "weights")])
    assert "--tokenizer: missing" in refused("import", tmp_path / "weights", tmp_path / "new")
    message = refused("import", tmp_path / "weights", tmp_path / "new", "--tokenizer", tmp_path / "none.json")
    assert "cannot read this tokenizer.json" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "weights"]


FOLDERS = {
    "bert": ({"config.json": '{"model_type": "bert"}', "pytorch_model.bin": ""}, "is a model of type 'bert'"),
    "llama": (
        {"config.json": '{"model_type": "llama"}', "tokenizer.json": "{}"},
        "is a model of type 'llama'; tfmr imports folders of ",
    ),
    "ctranslate2": ({"config.json": "{}", "model.bin": "", "shared_vocabulary.json": "[]"}, "is a CTranslate2 model"),
    "marian itself": (
        {"decoder.yml": "", "model.npz": "", "source.spm": ""},
        "is a model in Marian's .npz format; convert it with marian-conv",
    ),
    "the cache": ({"snapshots/0a1b/config.json": "{}"}, "is a folder of the Hugging Face cache"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_named_for_what_it_is(name, tmp_path):
    files, message = FOLDERS[name]
    for file, content in files.items():
        (tmp_path / "in" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / file).write_text(content)
    assert message in refused("import", tmp_path / "in", tmp_path / "new")
    for read in (read_marian, read_gpt2):
        with pytest.raises(InputError, match=re.escape(message)):
            read(tmp_path / "in")
    if "model_type" in files.get("config.json", ""):
        assert f"contains a model of type {name!r}, and is not a run" in refused("translate", tmp_path / "in")


def test_a_run_is_not_imported(run, tmp_path):
    assert f"{run}: is a run directory of tfmr" in refused("import", run, tmp_path / "new")
