"""Fine-tuning on the command line: the short option, and low-rank changes that are merged."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from tiny_run import tiny_run, train, write_recipe, write_words

from tfmr.cli.config_file import parse_config
from tfmr.cli.export import main as export
from tfmr.cli.import_ import main as import_
from tfmr.cli.merge import main as merge
from tfmr.cli.prepare import main as prepare
from tfmr.cli.train import main as train_main
from tfmr.config import FineTuningConfig, TransformerConfig
from tfmr.errors import InputError
from tfmr.runs import RunDirectory, load_run, read_params
from tfmr.runs.averaging import average_checkpoints


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a recipe, a run `base` and a run `lora` that started from it."""
    folder = tmp_path_factory.mktemp("runs")
    write_words(folder)
    config = tiny_run(folder, folder / "base", steps=2, evaluate_every=0, checkpoint_every=0)
    train(config)
    recipe = dataclasses.replace(config, workdir=str(folder / "new"), model=TransformerConfig())
    write_recipe(folder / "recipe.py", recipe)
    lora = ["--fine-tuning.lora-rank", "2", "--training.learning-rate", "0.01"]
    train_main(
        [str(folder / "recipe.py"), "--init-from", str(folder / "base"), "--workdir", str(folder / "lora"), *lora]
    )
    return folder


def test_the_short_option_is_understood_in_all_spellings(runs):
    for words in (["--init-from", "x"], ["--init_from=x"], ["--fine-tuning.init-from", "x"]):
        assert parse_config([str(runs / "recipe.py"), *words], "train.py").fine_tuning == FineTuningConfig("x")


def test_a_merged_run_has_all_parameters_and_needs_no_base(runs, tmp_path, capsys):
    lora, out = RunDirectory(runs / "lora"), tmp_path / "merged"
    merge([str(lora.path), str(out)])
    assert f"created {out} with the parameters of {lora.path} at step 2" in capsys.readouterr().out
    merged = RunDirectory(out)
    assert merged.config.fine_tuning == FineTuningConfig(str(runs / "base"))
    expected = read_params(lora, lora.config.model)
    assert json.loads(merged.base_file.read_text())["checksum"] == lora.read_base()["checksum"]
    merged.base_file.unlink()
    config, tokenizer, params = load_run(out)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    assert tokenizer.to_json() == lora.tokenizer.to_json()
    assert merged.read_text_split("test") == lora.read_text_split("test")
    base = read_params(RunDirectory(runs / "base"), config.model)
    assert np.abs(params["encoder"]["layer_0"]["self_attention"]["query"]).sum() > 0
    assert not np.array_equal(
        params["encoder"]["layer_0"]["self_attention"]["query"], base["encoder"]["layer_0"]["self_attention"]["query"]
    )
    # An export is merged as well.
    export([str(lora.path), "--format", "tfmr", "--output", str(tmp_path / "exported")])
    import_([str(tmp_path / "exported"), str(tmp_path / "again")])
    again = load_run(tmp_path / "again")
    jax.tree.map(np.testing.assert_array_equal, again[2], expected)
    assert again[0].fine_tuning == FineTuningConfig()
    # Of an imported run, training says what to do.
    with pytest.raises(InputError, match=r"has parameters \(best/0\) but no .*add --init-from .*again"):
        train(dataclasses.replace(again[0], workdir=str(tmp_path / "again")))


def test_a_run_without_low_rank_changes_is_not_merged(runs, tmp_path):
    with pytest.raises(InputError, match="base: has no low-rank changes"):
        merge([str(runs / "base"), str(tmp_path / "merged")])
    with pytest.raises(InputError, match="already exists"):
        merge([str(runs / "lora"), str(runs)])


def test_an_average_is_merged_without_the_base(runs, tmp_path):
    lora = RunDirectory(shutil.copytree(runs / "lora", tmp_path / "lora"))
    base = shutil.copytree(runs / "base", tmp_path / "base")
    average_checkpoints(lora)
    expected = read_params(lora, lora.config.model, "averaged")
    shutil.rmtree(base)
    with pytest.raises(InputError, match=r"needs the parameters .*base/.*, which are missing"):
        merge([str(lora.path), str(tmp_path / "last"), "--checkpoint", "last"])
    assert not (tmp_path / "last").exists()
    merge([str(lora.path), str(tmp_path / "averaged")])
    merged = RunDirectory(tmp_path / "averaged")
    jax.tree.map(np.testing.assert_array_equal, read_params(merged, merged.config.model), expected)
    assert merged.read_base()["path"] == "../base"


def test_a_corpus_is_prepared_with_the_tokenizer_of_the_base(runs, capsys):
    prepare([str(runs / "recipe.py"), "--init-from", str(runs / "base"), "--fine-tuning.new-tokens", "<2de>", "<2fr>"])
    size = RunDirectory(runs / "base").tokenizer.vocab_size
    assert f"vocabulary  {size + 2} (characters)" in capsys.readouterr().out
