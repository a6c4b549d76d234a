"""What transformers and CTranslate2 make of our models, and we of theirs, where they are installed.

pip install -e '.[dev,compare]' && python -m pytest tests/interop/test_live.py
"""

import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from exported_runs import DECODING, LINES, make_language_model, make_run
from reference import random_parameters
from small_transformers import BASE

from tfmr.cli import _dispatch
from tfmr.config import GenerationConfig
from tfmr.data.tokenizer import BOS_ID, PAD_ID
from tfmr.interop import from_gpt2, from_marian, to_marian
from tfmr.interop.weights import write_arrays
from tfmr.language_model import Generator
from tfmr.models import CausalLM, Transformer
from tfmr.runs import RunDirectory, load_run
from tfmr.translation import Translator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"
VOCAB, LENGTHS = 61, (9, 6, 3)
SMALL = dataclasses.replace(
    BASE, vocab_size=VOCAB, num_heads=4, d_model=32, d_k=8, d_v=8, num_encoder_layers=2, num_decoder_layers=3
)


def tokens(length, seed, low=4, high=VOCAB):
    return np.random.default_rng(seed).integers(low, high, (len(LENGTHS), length)).astype(np.int32)


def segments():
    return (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int32)


def logits_of(config, params, source, target):
    return np.asarray(
        jax.jit(Transformer(config).apply)({"params": params}, source, target, source_segments=segments())
    )


def marians_logits(model, source, target):
    torch = pytest.importorskip("torch")
    source, mask, target = (torch.tensor(x, dtype=torch.long) for x in (source, segments(), target))
    with torch.no_grad():
        return model(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits.numpy()


class TestTransformers:
    @pytest.mark.parametrize("activation", ["relu", "gelu", "swish"])
    @pytest.mark.parametrize("tie", ["all", "decoder", "none"])
    def test_marian_gives_the_logits_of_our_models(self, tie, activation, tmp_path):
        transformers = pytest.importorskip("transformers")
        config = dataclasses.replace(SMALL, tie_embeddings=tie, activation=activation)
        params = random_parameters(Transformer(config), *2 * [jax.ShapeDtypeStruct((1, 2), "int32")])
        values, weights = to_marian(config, params)
        write_arrays(tmp_path / "model.safetensors", weights, {"format": "pt"})
        transformers.MarianConfig(**values).save_pretrained(tmp_path)
        model, loaded = transformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(loaded.values())
        source, target = tokens(max(LENGTHS), 0), tokens(5, 1)
        target[:, 0] = BOS_ID
        expected = logits_of(config, params, source * segments(), target)
        found = marians_logits(model.eval(), source * segments(), target)
        assert np.ptp(expected) > 3
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("activation", ["relu", "swish"])
    def test_we_give_the_logits_of_marian(self, activation):
        torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
        torch.manual_seed(0)
        pad = VOCAB - 1
        both = dict(attention_heads=4, ffn_dim=24, layers=2)
        config = transformers.MarianConfig(
            vocab_size=VOCAB,
            d_model=32,
            **{f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in both.items()},
            activation_function=activation,
            scale_embedding=True,
            pad_token_id=pad,
            decoder_start_token_id=pad,
        )
        model = transformers.MarianMTModel(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.add_(0 if "positions" in name else 0.2 * torch.randn_like(weight))
            model.final_logits_bias.normal_()
        weights = {name: x.numpy() for name, x in model.state_dict().items()}
        ours, params, ids = from_marian(config.to_dict(), weights, 1)
        number = {theirs: i for i, theirs in reversed(list(enumerate(ids)))}
        source, target = tokens(max(LENGTHS), 0, 0, pad), tokens(5, 1, 0, pad)
        source[segments() == 0] = target[:, 0] = pad
        expected = marians_logits(model, source, target)
        source, target = (np.vectorize(number.get)(x).astype(np.int32) for x in (source, target))
        target[:, 0] = BOS_ID
        found = logits_of(ours, params, source, target)
        others = [i for i in range(len(ids)) if i != BOS_ID]
        np.testing.assert_allclose(found[..., others], expected[..., [ids[i] for i in others]], rtol=0, atol=1e-4)
        assert (found[..., BOS_ID] < -1000).all()
        assert number[pad] == PAD_ID

    @pytest.mark.parametrize("changes", [{}, {"no_repeat_ngram": 2, "max_length": 20}], ids=["beam", "limits"])
    def test_generate_translates_as_we_do(self, changes, tmp_path):
        """With the decoding settings of the run, which the folder contains."""
        transformers = pytest.importorskip("transformers")
        run = make_run(tmp_path / "run")
        config = load_run(run)[0]
        decoding = dataclasses.replace(config.decoding, extra_length=90, **{"max_length": 79, **changes})
        RunDirectory(run).write_config(dataclasses.replace(config, decoding=decoding))
        _dispatch(["export", run, "--format", "marian", "--output", str(tmp_path / "marian")])
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "marian")
        model = transformers.MarianMTModel.from_pretrained(tmp_path / "marian")
        assert (model.generation_config.num_beams, model.generation_config.length_penalty) == (4, 0.6)
        lines = [*LINES[:8], "<s> is text, not a mark"]
        encoded = tokenizer(lines, return_tensors="pt", padding=True, return_token_type_ids=False)
        found = tokenizer.batch_decode(model.generate(**encoded), skip_special_tokens=True)
        assert found == Translator.from_run(run).translate(lines)


class TestGPT2:
    PROMPTS = ("The old woman", "Ein Hund sieht die", "A small ")
    NEW = 50

    def logits(self, model, tokens):
        torch = pytest.importorskip("torch")
        with torch.no_grad():
            return model.eval()(torch.tensor(tokens, dtype=torch.long)).logits.numpy()

    def greedy(self, model, tokenizer, prompt) -> tuple[tuple[int, ...], str]:
        """What `generate` writes after a prompt."""
        encoded = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        output = model.generate(**encoded, max_new_tokens=self.NEW, do_sample=False)[0]
        new = output[encoded.input_ids.shape[1] :].tolist()
        return tuple(new), tokenizer.decode(new, skip_special_tokens=True)

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"kind": "characters", "documents": False, "bias": False},
            {"positions": "sinusoidal", "scale_embeddings": True, "activation": "relu"},
            {"tie_embeddings": False, "activation": "swish", "norm_epsilon": 1e-2},
        ],
        ids=["gpt", "characters", "sinusoids", "untied"],
    )
    def test_transformers_gives_the_logits_and_texts_of_our_models(self, changes, tmp_path):
        transformers = pytest.importorskip("transformers")
        run, folder = make_language_model(tmp_path / "run", **changes), tmp_path / "gpt2"
        _dispatch(["export", run, "--format", "gpt2", "--output", str(folder)])
        model, loaded = transformers.GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
        assert not any(loaded.values())
        config, _, params = load_run(run)
        found = tokens(96, 0, 0, config.model.vocab_size)
        expected = jax.jit(CausalLM(config.model).apply)({"params": params}, found)
        assert np.ptp(expected) > 3
        np.testing.assert_allclose(self.logits(model, found), expected, rtol=0, atol=1e-4)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        generator = Generator.from_run(run, config=GenerationConfig(temperature=0.0, max_new_tokens=self.NEW))
        for prompt, (one,) in zip(self.PROMPTS, generator.generate(self.PROMPTS), strict=True):
            assert (one.tokens, one.text) == self.greedy(model, tokenizer, prompt)
            assert len(set(one.tokens)) > 3

    @pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
    def test_we_give_the_logits_of_gpt2(self, activation):
        torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=VOCAB, n_positions=24, n_embd=32, n_layer=3, n_head=4, activation_function=activation
        )
        model = transformers.GPT2LMHeadModel(config)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
        ours, params = from_gpt2(config.to_dict(), {name: x.numpy() for name, x in model.state_dict().items()})
        found = tokens(24, 0, 0)
        expected = self.logits(model, found)
        assert np.ptp(expected) > 3
        logits = jax.jit(CausalLM(ours).apply)({"params": params}, found)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)

    def test_a_gpt2_of_transformers_writes_the_same_text_here(self, tmp_path):
        transformers = pytest.importorskip("transformers")
        golden = Path(__file__).parent / "golden" / "gpt2"
        model = transformers.GPT2LMHeadModel.from_pretrained(golden)
        tokenizer = transformers.AutoTokenizer.from_pretrained(golden)
        _dispatch(["import", str(golden), str(tmp_path / "run")])
        config = GenerationConfig(temperature=0.0, max_new_tokens=self.NEW)
        generator = Generator.from_run(tmp_path / "run", config=config)
        for prompt, (one,) in zip(self.PROMPTS, generator.generate(self.PROMPTS), strict=True):
            assert (one.tokens, one.text) == self.greedy(model, tokenizer, prompt)
        _dispatch(["export", str(tmp_path / "run"), "--format", "gpt2", "--output", str(tmp_path / "out")])
        again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
        for line in (*LINES[:9], "a <|endoftext|>b", "<s> 漢 "):
            assert again(line).input_ids == tokenizer(line).input_ids == generator.tokenizer.encode(line)


@pytest.mark.slow
class TestCTranslate2:
    @pytest.mark.parametrize(
        "changes",
        [
            {"norm_epsilon": 0.05},
            {"norm": "pre", "tie_embeddings": "none", "activation": "gelu"},
            {"norm": "pre", "positions": "learned", "attention_bias": True, "max_length": 90},
        ],
        ids=["post", "pre", "learned"],
    )
    def test_200_sentences_are_translated_as_by_us(self, changes, tmp_path):
        ctranslate2 = pytest.importorskip("ctranslate2")
        tokenizers = pytest.importorskip("tokenizers")
        run = make_run(tmp_path / "run", **changes)
        _dispatch(["export", run, "--format", "ctranslate2", "--output", str(tmp_path / "ct2")])
        tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "ct2" / "tokenizer.json"))
        engine = ctranslate2.Translator(str(tmp_path / "ct2"), compute_type="float32")
        lines = [encoding.tokens for encoding in tokenizer.encode_batch(LINES, add_special_tokens=False)]

        # Random models seldom end by themselves: all are cut at one length.
        decoding = dataclasses.replace(DECODING, beam_size=1, min_length=16, max_length=16)
        expected = Translator.from_run(run, config=decoding).translate(LINES)
        results = engine.translate_batch(lines, beam_size=1, min_decoding_length=15, max_decoding_length=15)
        ids = [[tokenizer.token_to_id(token) for token in result.hypotheses[0]] for result in results]
        known = [[token for token in row if token is not None] for row in ids]  # a few of the model's have no text
        found = tokenizer.decode_batch(known, skip_special_tokens=False)
        assert [text.replace("\r", " ").replace("\n", " ") for text in found] == expected  # a line stays a line
        assert len(set(expected)) > 1

    @pytest.mark.parametrize("beam_size", [1, 4])
    def test_200_sentences_are_translated_as_by_us_with_a_trained_model(self, beam_size, tmp_path):
        ctranslate2 = pytest.importorskip("ctranslate2")
        run = str(tmp_path / "run")
        _dispatch(["import", str(Path(__file__).parent / "golden" / "marian"), run])
        _dispatch(["export", run, "--format", "ctranslate2", "--output", str(tmp_path / "ct2")])
        engine = ctranslate2.Translator(str(tmp_path / "ct2"), compute_type="float32")
        vocabulary = json.loads((tmp_path / "ct2" / "shared_vocabulary.json").read_text())
        numbers = {token: number for number, token in enumerate(vocabulary)}
        limit = 81
        config, tokenizer, _ = load_run(run)
        decoding = dataclasses.replace(config.decoding, beam_size=beam_size, max_length=limit, extra_length=limit)
        ours = [best for (best,) in Translator.from_run(run, config=decoding).n_best(LINES, 1)]
        lines = [[vocabulary[token] for token in ids] for ids in tokenizer.encode_batch(LINES)]
        results = engine.translate_batch(
            lines, beam_size=beam_size, length_penalty=decoding.alpha, max_decoding_length=limit - 1
        )
        theirs = [[numbers[token] for token in result.hypotheses[0]] for result in results]
        # At the limit the one asks what the end would cost and the other does not.
        ended = [i for i, best in enumerate(ours) if max(len(best.tokens), len(theirs[i]) + 1) < limit]
        assert len(ended) > 100
        texts = tokenizer.decode_batch(theirs)
        assert [texts[i] for i in ended] == [ours[i].text for i in ended]
        assert len({best.text for best in ours}) > 100


def test_the_python_of_the_document_about_gpt2_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    (block,) = re.findall(r"```python\n([^`]*GPT2LMHeadModel.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    run = make_language_model(tmp_path / "run")
    _dispatch(["export", run, "--format", "gpt2", "--output", "mine.gpt2"])
    capsys.readouterr()
    exec(compile(block, "block", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("needs", ["transformers", "ctranslate2", "tfmr"])
def test_the_python_of_the_document_runs(needs, tmp_path, monkeypatch, capsys):
    pytest.importorskip(needs)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    block = next(block for block in blocks if f"import {needs}" in block or f"from {needs}" in block)
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "mine")
    kinds = {"transformers": "marian", "ctranslate2": "ct2", "tfmr": "safetensors"}
    (command,) = re.findall(
        rf"^    tfmr (export .*{kinds[needs]})$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )
    _dispatch(command.split())
    capsys.readouterr()
    exec(compile(block, "block", "exec"), {})
    assert needs == "tfmr" or capsys.readouterr().out.strip()
