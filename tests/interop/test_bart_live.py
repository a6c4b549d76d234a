"""What transformers makes of M2M100, BART and mBART models that we export, where it is installed.

pip install -e '.[dev,compare]' && python -m pytest tests/interop/test_bart_live.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from exported_runs import DECODING, LINES, make_run

from tfmr.cli import _dispatch
from tfmr.data.tokenizer import BOS_ID, PAD_ID
from tfmr.interop.bart_model import exported_order
from tfmr.models import Transformer
from tfmr.runs import RunDirectory, load_run
from tfmr.translation import Translator

GOLDEN = Path(__file__).resolve().parent / "golden"
FORMS = {
    "m2m_100": dict(norm="pre", positions="fairseq", output_bias=False),
    "bart": dict(embedding_norm=True, positions="learned", scale_embeddings=False, activation="gelu_exact"),
    "mbart": dict(norm="pre", embedding_norm=True, positions="learned", attention_bias=True, start_token=3),
}


def exported(run: str, kind: str, folder: Path):
    """Returns a run's model and tokenizer in transformers."""
    transformers = pytest.importorskip("transformers")
    _dispatch(["export", run, "--format", kind, "--output", str(folder)])
    model, loaded = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
    assert not any(loaded.values())
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", FORMS)
def test_a_model_that_was_trained_here_computes_and_translates_the_same_there(kind, tmp_path):
    torch = pytest.importorskip("torch")
    run = make_run(tmp_path / "run", norm_epsilon=1e-5, max_length=100, **FORMS[kind])
    config, _, params = load_run(run)
    shape: Any = config.model
    model, tokenizer = exported(run, kind, tmp_path / "out")
    order = exported_order(shape)
    ours, theirs = np.random.default_rng(0).choice(order[4:], (2, 3, 7)), {token: i for i, token in enumerate(order)}
    source, target = ours.astype(np.int32)
    source[1:, 5:], target[:, 0] = PAD_ID, BOS_ID
    segments = (source != PAD_ID).astype(np.int32)
    logits = jax.jit(Transformer(shape).apply)({"params": params}, source, target, source_segments=segments)
    read, written = (torch.tensor(np.vectorize(lambda x: theirs.get(x, -1))(x)) for x in (source, target))
    written[:, 0] = model.config.decoder_start_token_id
    with torch.no_grad():
        found = model(input_ids=read, attention_mask=torch.tensor(segments), decoder_input_ids=written).logits.numpy()
    expected = np.asarray(logits)[..., order]
    assert np.ptp(found) > 3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    lines = tokenizer(LINES[:8], return_tensors="pt", padding=True, return_token_type_ids=False)
    # Random models repeat themselves or end at once.
    limits: dict = dict(beam_size=1, min_length=20, max_length=60, extra_length=90, no_repeat_ngram=2)
    translator = Translator.from_run(run, config=dataclasses.replace(DECODING, **limits))
    texts = translator.translate(LINES[:8])
    same: dict = dict(num_beams=1, early_stopping=False, min_length=20, max_length=61, no_repeat_ngram_size=2)
    output = tokenizer.batch_decode(model.generate(**lines, **same), skip_special_tokens=True)
    assert [text.replace("\n", " ").replace("\r", " ") for text in output] == [
        text.replace("<unk>", "") for text in texts
    ]
    assert len(set(texts)) > 3


@pytest.mark.parametrize("name", ["nllb", "m2m100", "bart", "mbart50", "mbart"])
def test_an_imported_model_translates_the_same_there_again(name, tmp_path):
    run = str(tmp_path / "run")
    _dispatch(["import", str(GOLDEN / name), run])
    kind = "m2m_100" if name in ("nllb", "m2m100") else name.removesuffix("50")
    model, tokenizer = exported(run, kind, tmp_path / "out")
    decoding = dataclasses.replace(RunDirectory.open(run).config.decoding, beam_size=1, extra_length=90)
    translator = Translator.from_run(run, config=decoding)
    lines = LINES[:6]
    for line in lines:
        order = exported_order(translator.model.config)
        found = translator.tokenizer.source_sequence(translator.tokenizer.encode(line))
        assert [order[token] for token in tokenizer(line).input_ids] == found
    batch = tokenizer(lines, return_tensors="pt", padding=True, return_token_type_ids=False)
    output = model.generate(**batch, num_beams=1, early_stopping=False)
    forced = model.generation_config.forced_bos_token_id
    # M2M100's tokenizer takes the token of a language as text.
    rows = [[token for token in row if token != forced] for row in output.tolist()]
    assert tokenizer.batch_decode(rows, skip_special_tokens=True) == translator.translate(lines)
