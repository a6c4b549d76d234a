"""What transformers makes of our T5 models, and we of its own, where it is installed; see test_live.py."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from exported_runs import LINES
from reference import random_parameters

from tfmr.cli import _dispatch
from tfmr.data.tokenizer import BOS_ID, PAD_ID, UNK_ID
from tfmr.interop.t5_model import MODEL_CLASSES, from_t5, to_t5
from tfmr.interop.weights import write_arrays
from tfmr.models import Transformer, TransformerConfig
from tfmr.runs import load_run
from tfmr.translation import Translator

torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")

GOLDEN = Path(__file__).resolve().parent / "golden"
VOCAB, LENGTHS = 61, (40, 27, 3)
SEGMENTS = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int32)
SMALL = TransformerConfig(
    vocab_size=VOCAB, num_encoder_layers=2, num_decoder_layers=3, d_model=32, d_ff=24, num_heads=4, d_k=6, d_v=6,
    norm="pre", norm_type="rms", positions="relative", relative_buckets=8, relative_max_distance=20,
    scale_embeddings=False, scale_scores=False, feed_forward_bias=False, start_token=PAD_ID,
)  # fmt: skip


def tokens(length, seed, low):
    return np.random.default_rng(seed).integers(low, VOCAB - 1, (len(LENGTHS), length)).astype(np.int32)


def logits_of(config, params, source, target):
    apply = jax.jit(Transformer(config).apply)
    return np.asarray(apply({"params": params}, source, target, source_segments=SEGMENTS))


def their_logits(model, source, target):
    source, mask, target = (torch.tensor(x, dtype=torch.long) for x in (source, SEGMENTS, target))
    with torch.no_grad():
        return model.eval()(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits.numpy()


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("t5", {"scale_output": True}),
        ("t5", {"gated": True, "activation": "gelu", "tie_embeddings": "inputs", "start_token": UNK_ID}),
        ("t5", {"gated": True, "activation": "swish", "start_token": BOS_ID}),
        ("t5", {"tie_embeddings": "inputs", "scale_output": True, "activation": "gelu_exact", "norm_epsilon": 1e-3}),
        ("mt5", {"gated": True, "activation": "gelu", "tie_embeddings": "inputs"}),
        ("umt5", {"positions": "relative_by_layer", "gated": True, "activation": "gelu", "tie_embeddings": "inputs"}),
    ],
    ids=["tied", "untied", "tied-unscaled", "untied-scaled", "mt5", "umt5"],
)
def test_transformers_gives_the_logits_of_our_models(model_type, changes, tmp_path):
    config = dataclasses.replace(SMALL, **changes)
    params = random_parameters(Transformer(config), *2 * [jax.ShapeDtypeStruct((1, 2), "int32")])
    values, weights, ids = to_t5(model_type, config, params)
    write_arrays(tmp_path / "model.safetensors", weights, {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(values))
    model, loaded = getattr(transformers, MODEL_CLASSES[model_type]).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loaded.values())
    source, target = tokens(max(LENGTHS), 0, 4) * SEGMENTS, tokens(30, 1, 4)
    theirs = {ours: number for number, ours in enumerate(ids)}
    found = their_logits(model, *(np.vectorize(theirs.get)(x) for x in (source, _started(target, config.start_token))))
    expected = logits_of(config, params, source, _started(target, BOS_ID))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected[..., ids], rtol=0, atol=1e-4)


def _started(target, token):
    return np.concatenate([np.full_like(target[:, :1], token), target[:, 1:]], axis=1)


@pytest.mark.parametrize(
    ("model_type", "options", "untied"),
    [
        ("t5", {}, False),
        ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, True),
        ("t5", {"feed_forward_proj": "gated-silu", "num_decoder_layers": 1}, False),
        ("mt5", {}, True),
        ("umt5", {"tie_word_embeddings": False}, True),
    ],
    ids=["t5", "v1.1", "silu", "mt5", "umt5"],
)
def test_we_give_the_logits_of_transformers(model_type, options, untied, tmp_path):
    torch.manual_seed(0)
    model_class = getattr(transformers, MODEL_CLASSES[model_type])
    sizes = dict(vocab_size=VOCAB, d_model=32, d_kv=6, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0)
    model = model_class(model_class.config_class(**{**sizes, **options}))
    if untied:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) / 3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    ours, params, ids = from_t5(values, {name: x.numpy() for name, x in model.state_dict().items()}, 2)
    assert ours.tie_embeddings == ("inputs" if untied else "all")
    number = {theirs: i for i, theirs in enumerate(ids) if theirs is not None}
    source, target = tokens(max(LENGTHS), 0, 3) * SEGMENTS, tokens(30, 1, 3)
    expected = their_logits(model, source, _started(target, 0))
    source, target = (np.vectorize(number.get)(x).astype(np.int32) for x in (source, target))
    found = logits_of(ours, params, source, _started(target, BOS_ID))
    others = [i for i, theirs in enumerate(ids) if theirs is not None]
    assert np.ptp(expected) > 3
    np.testing.assert_allclose(found[..., others], expected[..., [ids[i] for i in others]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["t5", "mt5", "madlad"])
def test_generate_translates_an_exported_model_as_we_do(family, tmp_path):
    """With the tokenizer and the decoding settings of the folder that we wrote."""
    run, folder = str(tmp_path / "run"), str(tmp_path / "out")
    name = "mt5" if family == "mt5" else "t5"
    _dispatch(["import", str(GOLDEN / family), run])
    _dispatch(["export", run, "--format", name, "--output", folder])
    model = getattr(transformers, MODEL_CLASSES[name]).from_pretrained(folder)
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), load_run(run)[1]
    order = to_t5(name, load_run(run)[0].model, load_run(run)[2])[2]
    lines = ["<2de> the old dog", "a <extra_id_2>b </s> c", " two  spaces", "<pad> 漢 <s>", *LINES[:10]]
    for line in lines:
        assert [order[token] for token in theirs(line).input_ids[:-1]] == ours.encode(line)
    translator = Translator.from_run(run)
    limits = dict(max_length=80, extra_length=80)
    decoding = dataclasses.replace(translator.config, beam_size=4, length_penalty="power", alpha=0.6, **limits)
    found = Translator.from_run(run, config=decoding).n_best(LINES[:10], 1)
    encoded = theirs(LINES[:10], return_tensors="pt", padding=True, return_token_type_ids=False)
    output = model.generate(**encoded, num_beams=4, early_stopping=True, length_penalty=0.6, max_length=81)
    texts = theirs.batch_decode(output, skip_special_tokens=True)
    ended = [i for i, (best,) in enumerate(found) if len(best.tokens) < 80]
    assert len(ended) > 5
    assert [texts[i] for i in ended] == [found[i][0].text for i in ended]
