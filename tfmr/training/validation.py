"""Evaluation while training: loss and BLEU on the validation split."""

import functools
from typing import Any

from jax.sharding import Mesh

from tfmr.config import Config, DecodingConfig
from tfmr.data.loader import encode_pairs, evaluation_batches
from tfmr.data.prepare import PreparedCorpus
from tfmr.decoding import Translator
from tfmr.evaluation import (
    Tokenize,
    corpus_scores,
    evaluate_loss,
    negative_log_likelihood,
    perplexity,
    scoring_tokenizer,
)
from tfmr.models import Transformer
from tfmr.training.sharding import batch_parts, to_devices

GREEDY = DecodingConfig(beam_size=1)


class Validation:
    """Called with parameters, returns the loss, perplexity and, if wanted, greedy BLEU of the validation split."""

    def __init__(self, model: Transformer, corpus: PreparedCorpus, config: Config, mesh: Mesh):
        """Makes the batches once; `config.training.bleu_sentences` says how many sentences are translated."""
        sources, references = corpus.text("validation")
        wanted = config.training.bleu_sentences
        self._sources, self._references = (lines if wanted < 0 else lines[:wanted] for lines in (sources, references))
        pairs = encode_pairs(corpus.tokenizer, sources, references)
        batches = evaluation_batches(pairs, rows_multiple=batch_parts(mesh))
        self._batches = [to_devices(batch, mesh) for batch in batches]
        self._model = model
        self._tokenizer = corpus.tokenizer
        self._scoring_tokenizer: Tokenize = scoring_tokenizer(config.data)

    def __call__(self, params: Any) -> dict[str, float]:
        """Returns `loss` (nats a token, unsmoothed), `perplexity`, and `bleu` if any sentence is to be translated."""
        loss = evaluate_loss(functools.partial(negative_log_likelihood, self._model, params), self._batches)
        values = {"loss": loss, "perplexity": perplexity(loss)}
        if self._sources:
            translator = Translator(self._model, params, self._tokenizer, GREEDY)
            hypotheses = translator.translate(self._sources)
            values["bleu"] = corpus_scores(hypotheses, self._references, self._scoring_tokenizer)["bleu"]
        return values
