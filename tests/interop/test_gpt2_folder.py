"""A GPT-2's folder against what transformers computed with it: golden/gpt2, made by make_golden_gpt2.py."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from test_gpt2 import gpt2

from tfmr.cli import _dispatch
from tfmr.config import GenerationConfig
from tfmr.data.running_text import encode_text
from tfmr.data.text_batches import TextSplit, evaluation_batches_of_text
from tfmr.data.tokenizer import Marks, Tokenizer
from tfmr.errors import InputError
from tfmr.interop import flatten, read_gpt2
from tfmr.interop.weights import read_arrays, write_arrays
from tfmr.language_model import Continuation, Generator
from tfmr.models import CausalLM
from tfmr.runs import load_run
from tfmr.training.evaluation import evaluate_loss, negative_log_likelihood

FOLDER = Path(__file__).resolve().parent / "golden" / "gpt2"
CASES = json.loads((FOLDER / "continued.json").read_text(encoding="utf-8"))
END, VOCAB = 320, 321


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """The run directory of the imported model."""
    folder = str(tmp_path_factory.mktemp("imported") / "run")
    _dispatch(["import", str(FOLDER), folder])
    return folder


@pytest.fixture(scope="module")
def continued(run) -> dict[str, Continuation]:
    """The continuation of each prompt at temperature 0, written in one batch."""
    prompts = [*(case["prompt"] for case in CASES), "", "<|endoftext|>"]
    config = GenerationConfig(temperature=0.0, max_new_tokens=50, batch_size=len(prompts))
    found = Generator.from_run(run, config=config).generate(prompts)
    return {prompt: one for prompt, (one,) in zip(prompts, found, strict=True)}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(FOLDER, tmp_path / "gpt2"))


def as_merges(folder: Path) -> None:
    """Puts the two files of older tokenizers in the place of tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps({**model["vocab"], "<|endoftext|>": END}), encoding="utf-8")
    merges = "\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""])
    (folder / "merges.txt").write_text(merges, encoding="utf-8")


def test_logits_are_those_of_transformers(run):
    config, _, params = load_run(run)
    golden = np.load(FOLDER / "logits.npz", allow_pickle=False)
    found = jax.jit(CausalLM(config.model).apply)({"params": params}, golden["tokens"].astype(np.int32))
    assert np.ptp(golden["logits"]) > 5
    np.testing.assert_allclose(found, golden["logits"], rtol=0, atol=1e-4)


def test_fifty_tokens_and_their_text_are_those_of_transformers(continued):
    found = [continued[case["prompt"]] for case in CASES]
    for case, one in zip(CASES, found, strict=True):
        assert list(one.tokens) == case["new"]
        assert one.text == case["text"]
        assert one.ending == ("end" if case["new"][-1] == END else "length")
    assert len({one.text for one in found}) == len(CASES)
    assert {one.ending for one in found} == {"end", "length"}


@pytest.mark.parametrize("files", ["tokenizer.json", "vocab.json and merges.txt"])
def test_prompts_are_cut_and_put_together_as_by_transformers(folder, files):
    if files != "tokenizer.json":
        as_merges(folder)
    tokenizer = Tokenizer.from_json(read_gpt2(folder).tokenizer_json)
    assert (tokenizer.vocab_size, tokenizer.marks) == (VOCAB, Marks(None, None, END, END, begins=False))
    for restored in (tokenizer, Tokenizer.from_json(tokenizer.to_json())):
        assert restored.marks == tokenizer.marks
        for case in CASES:
            assert restored.encode(case["prompt"]) == case["ids"]
            assert restored.decode(case["new"]) == case["text"]
            pieces = b"".join(restored.pieces()[token] for token in case["new"])
            assert pieces.decode(errors="replace") == case["text"]
            assert restored.unkept(case["prompt"].replace("<|endoftext|>", "")) == []
    assert tokenizer.token_texts([0, END]) == ["!", "<|endoftext|>"]


def test_an_empty_prompt_is_the_end_of_text_token_and_no_other_has_one(run, continued):
    assert continued[""] == continued["<|endoftext|>"]
    config = GenerationConfig(temperature=3.0, max_new_tokens=60)
    samples = Generator.from_run(run, config=config).generate([""], samples=64)[0]
    drawn = {token for one in samples for token in one.tokens}
    assert drawn > {0, 1, 2, 3, END}  # special tokens of tfmr's own vocabularies, which are characters here


def test_the_loss_of_a_text_counts_every_token(run):
    """Also the token 0, which is "!" here and padding in tfmr's own vocabularies."""
    config, tokenizer, params = load_run(run)
    text = '! The old woman!! sees the small dog.\nIt is "here" #1 & $2!'
    ids = encode_text(tokenizer, text)
    assert {0, 1, 2, 3} < set(ids.tolist())
    arrays = TextSplit(ids, np.array([0, len(ids)]), begin_mark=END)
    loss = evaluate_loss(
        lambda batch: negative_log_likelihood(CausalLM(config.model), params, batch),
        evaluation_batches_of_text(arrays, config.data),
    )
    weights = read_arrays(FOLDER / "model.safetensors")[0]
    logits = gpt2(json.loads((FOLDER / "config.json").read_text()), weights, np.array([END, *ids[:-1]]))
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-log_probs[np.arange(len(ids)), ids].mean(), rel=1e-5)


def test_an_imported_model_goes_out_as_it_came(run, tmp_path):
    _dispatch(["export", run, "--format", "gpt2", "--output", str(tmp_path / "out")])
    before, after = (read_arrays(place / "model.safetensors")[0] for place in (FOLDER, tmp_path / "out"))
    assert before.keys() - {"lm_head.weight"} == after.keys()
    for name, x in after.items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)
    _dispatch(["export", run, "--format", "tfmr", "--output", str(tmp_path / "own")])
    config, tokenizer, params = load_run(run)
    assert config.data.has_documents
    for folder in ("out", "own"):
        _dispatch(["import", str(tmp_path / folder), str(tmp_path / f"{folder} again")])
        same, cut, weights = load_run(tmp_path / f"{folder} again")
        assert same == config
        assert json.loads(cut.to_json()) == json.loads(tokenizer.to_json())
        for name, x in flatten(params).items():
            np.testing.assert_array_equal(flatten(weights)[name], x)


def test_the_commands_take_an_imported_model(run, capsys):
    case = CASES[0]
    arguments = ["--prompt", case["prompt"], "--temperature", "0", "--max-new-tokens", "50"]
    _dispatch(["generate", run, *arguments])
    assert capsys.readouterr().out == case["prompt"] + case["text"] + "\n"
    _dispatch(["inspect", run])
    total = sum(x.size for x in flatten(load_run(run)[2]).values())
    assert f"{total:,}   (vocabulary {VOCAB})" in capsys.readouterr().out


class TestWrongFolders:
    def refused(self, folder) -> str:
        with pytest.raises(InputError) as raised:
            read_gpt2(folder)
        message = str(raised.value)
        assert "\n" not in message
        return message

    def test_missing_files_are_all_named(self, folder):
        assert "folder not found" in self.refused(folder / "nowhere")
        for name in ("model.safetensors", "tokenizer.json"):
            (folder / name).unlink()
        assert "has no model.safetensors and no tokenizer.json; it needs config.json" in self.refused(folder)
        (folder / "vocab.json").write_text("{}")
        assert "has no model.safetensors and no merges.txt; it needs config.json" in self.refused(folder)
        (folder / "pytorch_model.bin").write_bytes(b"pickle")
        assert "tfmr does not unpickle pytorch_model.bin" in self.refused(folder)
        assert f"save_pretrained('{folder}')" in self.refused(folder)

    @pytest.mark.parametrize("content", ["", "[1]", "{", '{"model": 1}', "\x00"])
    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json"])
    def test_damaged_json_is_named(self, folder, name, content):
        (folder / name).write_text(content)
        if (name, content) != ("generation_config.json", '{"model": 1}'):
            assert str(folder) in self.refused(folder)

    def test_damaged_weights_are_named(self, folder):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        assert "cannot be read as safetensors" in self.refused(folder)

    @pytest.mark.parametrize("merge", ["a b c", "ab"])
    def test_damaged_merges_are_named(self, folder, merge):
        as_merges(folder)
        (folder / "merges.txt").write_text(f"#version: 0.2\nh e\n{merge}\n")
        assert f"merges.txt: {merge!r} is not a merge" in self.refused(folder)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"bos_token_id": None, "eos_token_id": None}, r"bos_token_id and eos_token_id = \[None, None\]"),
            ({"eos_token_id": [1, 2]}, r"bos_token_id and eos_token_id = \[320, \[1, 2\]\]"),
            ({"eos_token_id": 50256}, "its tokenizer has no token with id 50256, which config.json gives as"),
            ({"vocab_size": 320}, r"wrong shape: wte\.weight \(321, 16\) instead of \(320, 16\)"),
        ],
    )
    def test_a_config_that_is_not_the_files_is_refused(self, folder, changes, message):
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | changes))
        with pytest.raises(InputError, match=message):
            read_gpt2(folder)

    def test_a_tokenizer_that_is_larger_than_the_model_is_refused(self, folder):
        weights, _ = read_arrays(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        weights["transformer.wte.weight"] = weights["transformer.wte.weight"][:300]
        write_arrays(folder / "model.safetensors", weights, {})
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | {"vocab_size": 300}))
        assert "its tokenizer has token id 320; ids must be below vocab_size = 300" in self.refused(folder)

    def test_another_kind_of_tokenizer_is_refused(self, folder):
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"]["type"] = "Unigram"
        (folder / "tokenizer.json").write_text(json.dumps(content))
        assert "is a Unigram model with a ByteLevel decoder; it must be a byte-level BPE" in self.refused(folder)

    def test_nothing_is_left_of_an_import_that_fails(self, folder, tmp_path):
        content = json.loads((folder / "tokenizer.json").read_text())
        content["model"]["merges"] = [["no", "such"]]
        (folder / "tokenizer.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match="the tokenizers library cannot read it"):
            _dispatch(["import", str(folder), str(tmp_path / "run")])
        with pytest.raises(InputError, match="omit this option"):
            _dispatch(["import", str(FOLDER), str(tmp_path / "run"), "--tokenizer", "x.json"])
        assert [path.name for path in tmp_path.iterdir()] == ["gpt2"]
