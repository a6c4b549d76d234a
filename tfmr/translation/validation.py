"""Evaluation while training: loss and BLEU on the validation split."""

import functools
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh

from tfmr.config import Config, DecodingConfig
from tfmr.data.pairs import encode_pairs, evaluation_batches
from tfmr.data.prepare import PreparedPairs
from tfmr.models import Transformer
from tfmr.training.evaluation import evaluate_loss, negative_log_likelihood, perplexity
from tfmr.training.sharding import LOGICAL_AXIS_RULES, batch_parts, batch_sharding, to_devices
from tfmr.translation.scores import Tokenize, corpus_scores, scoring_tokenizer
from tfmr.translation.translator import Translator

GREEDY = DecodingConfig(beam_size=1)


class TranslationValidation:
    """Called with parameters, returns the loss, perplexity and, if wanted, greedy BLEU of the validation split."""

    def __init__(self, model: Transformer, corpus: PreparedPairs, config: Config, mesh: Mesh):
        """Makes the batches once; `config.training.bleu_sentences` says how many sentences are translated."""
        sources, references = corpus.text("validation")
        wanted = config.training.bleu_sentences
        self._sources, self._references = (lines if wanted < 0 else lines[:wanted] for lines in (sources, references))
        pairs = encode_pairs(corpus.tokenizer, sources, references)
        batches = evaluation_batches(pairs, rows_multiple=batch_parts(mesh))
        self._batches = [to_devices(batch, mesh) for batch in batches]
        self._model = model
        self._mesh = mesh
        self._tokenizer = corpus.tokenizer
        data: Any = config.data
        self._scoring_tokenizer: Tokenize = scoring_tokenizer(data)

    def __call__(self, params: Any) -> dict[str, float]:
        """Returns `loss` (nats a token, unsmoothed), `perplexity`, and `bleu` if any sentence is to be translated."""
        # All processes run the same programs over the whole mesh, each on the rows that its devices hold. So parameters
        # that are split over hosts stay where they are, however large, and every process learns the result.
        with jax.set_mesh(self._mesh), nn.logical_axis_rules(LOGICAL_AXIS_RULES):
            loss = evaluate_loss(functools.partial(negative_log_likelihood, self._model, params), self._batches)
            values = {"loss": loss, "perplexity": perplexity(loss)}
            if not self._sources:
                return values
            translator = Translator(self._model, params, self._tokenizer, GREEDY, batch_sharding(self._mesh))
            hypotheses = translator.translate(self._sources)
            values["bleu"] = corpus_scores(hypotheses, self._references, self._scoring_tokenizer)["bleu"]
        return values
