"""Scores against formulas computed by hand; the loss against a sum written out."""

import dataclasses
import functools
import json
import math
import unicodedata

import jax
import numpy as np
import pytest

from tfmr.config import DecodingConfig, TransformerConfig
from tfmr.data.tokenizer import BOS_ID, EOS_ID, Tokenizer
from tfmr.errors import InputError
from tfmr.models import Transformer, init_params
from tfmr.training.evaluation import evaluate_loss, mean_loss, perplexity
from tfmr.translation import Translator
from tfmr.translation.scores import corpus_scores, evaluate


def test_identical_text_scores_100():
    lines = ["A dog runs across the green grass .", "Two men are talking at a table ."]
    scores = corpus_scores(lines, lines)
    assert scores["bleu"] == pytest.approx(100.0)
    assert scores["chrf"] == pytest.approx(100.0)


def test_bleu_by_hand():
    # Of the hypothesis's 6 words 5 are in the reference, of 5 pairs 3, of 4 triples 1, of 3 quadruples 0, which
    # exponential smoothing takes for 1 / 2. The hypothesis is one word shorter than the reference.
    hypothesis, reference = "the cat sat on a mat", "the cat sat down on a rug"
    precisions = [5 / 6, 3 / 5, 1 / 4, (1 / 2) / 3]
    brevity = math.exp(1 - 7 / 6)
    expected = 100 * brevity * math.exp(sum(math.log(p) for p in precisions) / 4)
    assert corpus_scores([hypothesis], [reference])["bleu"] == pytest.approx(expected, rel=1e-9)


def test_chrf_by_hand():
    # Characters 2 of 2 and 2 of 3, pairs 1 of 1 and 1 of 2; longer n-grams do not exist in the hypothesis, and
    # sacreBLEU averages precision and recall over the orders that both sides have. F with beta = 2.
    precision, recall = (2 / 2 + 1 / 1) / 2, (2 / 3 + 1 / 2) / 2
    expected = 100 * 5 * precision * recall / (4 * precision + recall)
    assert corpus_scores(["ab"], ["abc"])["chrf"] == pytest.approx(expected, rel=1e-9)


def test_tokenize_decides_what_a_word_is_and_stands_in_the_signature():
    import sacrebleu

    cut = corpus_scores(["a b c d."], ["a b c d ."], "13a")
    whole = corpus_scores(["a b c d."], ["a b c d ."], "none")
    assert cut["bleu"] == pytest.approx(100.0)
    assert whole["bleu"] < 100
    assert cut["signature"] == (
        f"BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__} "
        f"chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{sacrebleu.__version__}"
    )
    assert "tok:none" in whole["signature"]


def test_a_text_is_the_same_in_any_unicode_form():
    line = "Der Hund läuft über die große Straße."
    assert corpus_scores([line], [unicodedata.normalize("NFD", line)]) == corpus_scores([line], [line])


@pytest.mark.parametrize(("hypotheses", "references"), [([], []), (["a"], ["a", "b"])])
def test_refuses_nothing_and_unequal_numbers(hypotheses, references):
    with pytest.raises(InputError):
        corpus_scores(hypotheses, references)


@functools.cache
def make_model():
    config = TransformerConfig(
        vocab_size=40, num_encoder_layers=1, num_decoder_layers=1, d_model=16, d_ff=16, num_heads=2, d_k=8, d_v=8
    )
    model = Transformer(config)
    return model, jax.jit(lambda: init_params(model, jax.random.key(0)))()


def make_batch(pairs, width=8):
    names = "source", "source_segments", "source_positions", "target_input", "target_output"
    names = (*names, "target_segments", "target_positions")
    batch = {name: np.zeros((len(pairs), width), np.int32) for name in names}
    for row, (source, target) in enumerate(pairs):
        arrays = {"source": source, "target_input": [BOS_ID, *target[:-1]], "target_output": target}
        for name, tokens in arrays.items():
            batch[name][row, : len(tokens)] = tokens
        for side, tokens in (("source", source), ("target", target)):
            batch[f"{side}_segments"][row, : len(tokens)] = 1
            batch[f"{side}_positions"][row, : len(tokens)] = np.arange(len(tokens))
    return batch


PAIRS = [([5, 6, 3], [7, 8, 9, 3]), ([4, 3], [3]), ([9, 9, 9, 9, 3], [30, 3]), ([20, 3], [21, 22, 23, 24, 25, 3])]


def test_the_loss_is_the_mean_over_tokens_however_they_are_batched():
    model, params = make_model()
    batch = make_batch(PAIRS, 12)
    log_probs = jax.nn.log_softmax(jax.jit(model.apply)({"params": params}, **model.inputs_of(batch)))
    total = -sum(float(log_probs[row, i, token]) for row, (_, ids) in enumerate(PAIRS) for i, token in enumerate(ids))
    expected = total / sum(len(target) for _, target in PAIRS)
    assert mean_loss(model, params, [make_batch(PAIRS)]) == pytest.approx(expected, rel=1e-5)
    parts = [make_batch(PAIRS[:1], 11), make_batch(PAIRS[1:])]
    assert mean_loss(model, params, parts) == pytest.approx(expected, rel=1e-5)


def test_losses_are_added_in_float64():
    batches = [{"loss": np.float32(loss)} for loss in (2**24, 1, 1, 1)]
    assert evaluate_loss(lambda batch: (batch["loss"], 1), batches) == (2**24 + 3) / 4


def test_refuses_to_evaluate_no_tokens():
    with pytest.raises(InputError):
        evaluate_loss(lambda batch: (0.0, 0), [])


def test_perplexity_of_a_uniform_model_is_the_size_of_its_vocabulary():
    assert perplexity(math.log(1000)) == pytest.approx(1000)
    assert perplexity(1e6) == math.inf


def test_evaluate_puts_all_scores_together():
    model, params = make_model()
    tokenizer = Tokenizer.train("characters", ["abcdefgh ijk"], 40)
    translator = Translator(model, params, tokenizer, DecodingConfig(beam_size=1, extra_length=3, batch_size=4))
    sources, references = ["abc", "de"], ["cba", "ed"]
    pairs = [
        ([*tokenizer.encode(source), EOS_ID], [*tokenizer.encode(reference), EOS_ID])
        for source, reference in zip(sources, references, strict=True)
    ]
    scores = evaluate(translator, sources, references, [make_batch(pairs)])
    found = json.loads(json.dumps(dataclasses.asdict(scores)))
    assert list(found) == ["bleu", "chrf", "loss", "perplexity", "signature", "sentences"]
    text_scores = corpus_scores(translator.translate(sources), references)
    assert {name: found[name] for name in text_scores} == text_scores
    assert found["sentences"] == 2
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
