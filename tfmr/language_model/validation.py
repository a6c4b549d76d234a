"""Evaluation while a language model is trained: the loss on the whole validation text, and on random crops of it."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import flax.linen as nn
import jax
from jax import Array
from jax.sharding import Mesh

from tfmr.config import Config
from tfmr.data.layout import Arrays
from tfmr.data.running_text import PreparedText
from tfmr.data.text_batches import crop_batches, evaluation_batches_of_text
from tfmr.models import CausalLM
from tfmr.training.evaluation import evaluate_loss, negative_log_likelihood, perplexity
from tfmr.training.sharding import LOGICAL_AXIS_RULES, batch_parts, to_devices


class TextValidation:
    """Called with parameters, returns the loss and perplexity of the whole validation text, and the loss of crops."""

    def __init__(self, model: CausalLM, corpus: PreparedText, config: Config, mesh: Mesh):
        """Keeps what evaluating needs; `config.data.evaluation_crops` says how many crops are wanted."""
        self._model = model
        self._text = corpus.split("validation")
        self._config: Any = config.data
        self._mesh = mesh

    def __call__(self, params: Any) -> dict[str, float]:
        """Returns `loss` (nats a token, unsmoothed; see `evaluation_plan`), `perplexity`, and `crop_loss` if wanted."""
        rows = dict(rows_multiple=batch_parts(self._mesh))
        loss = self._mean_loss(params, evaluation_batches_of_text(self._text, self._config, **rows))
        values = {"loss": loss, "perplexity": perplexity(loss)}
        if self._config.evaluation_crops and len(self._text.tokens) >= self._config.max_length:
            values["crop_loss"] = self._mean_loss(params, crop_batches(self._text, self._config, **rows))
        return values

    def _mean_loss(self, params: Any, batches: Iterable[Arrays]) -> float:
        with jax.set_mesh(self._mesh), nn.logical_axis_rules(LOGICAL_AXIS_RULES):
            sums = functools.partial(negative_log_likelihood, self._model, params)
            return evaluate_loss(sums, self._on_devices(batches))

    def _on_devices(self, batches: Iterable[Arrays]) -> Iterator[dict[str, Array]]:
        return (to_devices(batch, self._mesh) for batch in batches)
