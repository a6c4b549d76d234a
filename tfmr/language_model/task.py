"""The task of language modeling."""

import functools
from typing import Any

import numpy as np
from jax.sharding import Mesh

from tfmr.config import Config, RunningTextConfig
from tfmr.data.batching import Bucket
from tfmr.data.running_text import PreparedText
from tfmr.data.text_batches import TextBatch, TextSplit, crop_batches, evaluation_batches_of_text
from tfmr.errors import InputError
from tfmr.models import CausalLM, build_model
from tfmr.runs.parameters import read_params
from tfmr.runs.run_directory import RunDirectory
from tfmr.training.evaluation import mean_loss, perplexity
from tfmr.training.sharding import batch_parts
from tfmr.training.task import EvaluationOptions, TokenTask, Validation


class LanguageModeling(TokenTask):
    """Running text, scored by loss."""

    def validation(self, model: CausalLM, corpus: PreparedText, config: Config, mesh: Mesh) -> Validation:
        """Returns the function that computes the losses of the validation text; see `_losses`."""
        return functools.partial(_losses, model, text=corpus.split("validation"), data=config.data, mesh=mesh)

    def has_evaluation_of(self, run: RunDirectory, corpus: PreparedText) -> bool:
        """Returns whether the validation text of the run, if it has any, is that of the corpus."""
        if not run.has_split("validation"):
            return True
        return np.array_equal(run.read_token_split("validation").tokens, corpus.split("validation").tokens)

    def write_files(self, run: RunDirectory, corpus: PreparedText) -> None:
        """Writes the tokenizer and the tokens of the validation text."""
        run.write_tokenizer(corpus.tokenizer)
        run.write_token_split("validation", corpus.split("validation"))

    def evaluate(self, run: RunDirectory, options: EvaluationOptions) -> dict[str, Any]:
        """Computes the loss of the whole validation text, predicting every token once."""
        _refuse_translation_options(options)
        config, text = run.config, run.read_token_split("validation")
        params = read_params(run, config.model, options.checkpoint)
        losses = _losses(build_model(config.model), params, text=text, data=config.data, stride=options.stride)
        return {**losses, "tokens": len(text.tokens)}

    def longest_batch(self, data: RunningTextConfig) -> tuple[TextSplit, TextBatch]:
        """Returns an empty split and a batch; all batches have the same shape."""
        none = np.empty(0, np.int64)
        bucket = Bucket(data.tokens_per_batch // data.max_length, 0, data.max_length)
        return TextSplit(np.empty(0, np.int32), np.zeros(1, np.int64)), TextBatch(bucket, none, none, none)


def _losses(
    model: CausalLM, params: Any, *, text: TextSplit, data: Any, mesh: Mesh | None = None, stride: int = 0
) -> dict[str, float]:
    """Returns `loss` and `perplexity` of a text, and `crop_loss` of random crops of it.

    `crop_loss` is missing if `data.evaluation_crops` is 0 or the text is shorter than a crop.
    """
    rows = 1 if mesh is None else batch_parts(mesh)
    loss = mean_loss(model, params, evaluation_batches_of_text(text, data, stride=stride, rows_multiple=rows), mesh)
    losses = {"loss": loss, "perplexity": perplexity(loss)}
    if data.evaluation_crops and len(text.tokens) >= data.max_length:
        losses["crop_loss"] = mean_loss(model, params, crop_batches(text, data, rows_multiple=rows), mesh)
    return losses


def _refuse_translation_options(options: EvaluationOptions) -> None:
    usual = EvaluationOptions()
    for name in ("source", "target", "output", "bleu_tokenizer", "engine", "compute_type", "comet"):
        if (value := getattr(options, name)) != getattr(usual, name):
            raise InputError(
                f"--{name.replace('_', '-')} = {value!r}: only translation models support it; leave it out"
            )
    if options.split not in ("", "validation"):
        raise InputError(
            f"--split = {options.split!r}: a language model is evaluated only on its validation split; leave this out"
        )
