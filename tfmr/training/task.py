"""The seam between the trainer and what it trains: whatever differs between kinds of work is a method of Task."""

import abc
import hashlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from tfmr.config import Config, DecodingConfig, ModelConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.data.corpus import Split
from tfmr.data.tokenizer import Tokenizer
from tfmr.errors import InputError
from tfmr.models import Model
from tfmr.runs.run_directory import RunDirectory
from tfmr.runs.saved_steps import state_steps
from tfmr.training.evaluation import Batch
from tfmr.training.loss import LossSums, token_loss

Validation = Callable[[Any], dict[str, float]]
"""Maps parameters to validation metrics; one of them is `loss`."""


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of `tfmr evaluate`."""

    checkpoint: str = ""
    """The checkpoint to use: averaged, best, last or a step. Empty: the first of these that exists, except an average
    that is older than the newest checkpoint."""
    split: str = ""
    """Split of the run's corpus. Empty: test for translation, validation for language models."""
    source: str = ""
    """Translation: a file of sources to translate instead of the split. Requires `target`."""
    target: str = ""
    """Translation: the reference translations of `source`, line by line."""
    output: str = ""
    """Translation: file to write the translations to."""
    bleu_tokenizer: str = ""
    """Translation: the tokenizer of sacreBLEU, as in `data.bleu_tokenizer`. Empty: the run's own."""
    stride: int = 0
    """Language models: number of tokens that each row predicts; the rest of the row is context. 0: the whole row, so
    that a token has half a row of context on average."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """Translation: how to search. Options that are not given are taken from the run."""
    engine: Engine = "jax"
    """Translation: what searches: jax, or ctranslate2 on the CPU. The loss is always computed with JAX."""
    compute_type: ComputeType = "float32"
    """Translation: the number type of CTranslate2's products; int8 is the fastest on most CPUs."""
    comet: str = ""
    """Translation: a model of COMET, such as Unbabel/wmt22-comet-da, that also scores the translations. Requires the
    program comet-score. Empty: none."""


class Task(abc.ABC):
    """A kind of work that `fit` can train."""

    def complete(self, model: ModelConfig, corpus: Any) -> ModelConfig:
        """Returns the model's configuration with what only the corpus knows, such as the size of the vocabulary."""
        return model

    @abc.abstractmethod
    def loss(
        self,
        model: Model,
        params: Any,
        batch: Batch,
        *,
        label_smoothing: float,
        chunk: int,
        dropout_key: PRNGKeyArray | None = None,
    ) -> LossSums:
        """Returns the sums of the loss over a batch.

        Args:
          model: the model.
          params: its parameters.
          batch: the arrays of `Split.arrays`, on the devices.
          label_smoothing: `training.label_smoothing`.
          chunk: `training.loss_chunk`.
          dropout_key: the random key for dropout. None: no dropout.
        """

    @abc.abstractmethod
    def validation(self, model: Model, corpus: Any, config: Config, mesh: Mesh) -> Validation:
        """Returns the function that evaluates parameters during training."""

    def identity(self, corpus: Any) -> dict[str, str]:
        """Returns, by name, what must be the same on all hosts of a run."""
        return {"the corpus": corpus.content_hash()}

    def check_continues(self, run: RunDirectory, corpus: Any) -> None:  # noqa: B027 - optional
        """Raises InputError if the run was trained on a corpus that this one cannot continue."""

    def has_evaluation_of(self, run: RunDirectory, corpus: Any) -> bool:
        """Returns whether a run that does not record its corpus may have been evaluated on this one."""
        return True

    def write_files(self, run: RunDirectory, corpus: Any) -> None:  # noqa: B027 - optional
        """Writes what evaluation and inference need to the run directory, such as the tokenizer."""

    @abc.abstractmethod
    def evaluate(self, run: RunDirectory, options: EvaluationOptions) -> dict[str, Any]:
        """Returns the scores of a trained run as JSON values by name. Needs nothing but the run directory.

        Raises:
          InputError: for an option that this task does not have.
        """

    def longest_batch(self, data: Any) -> tuple[Split, Any]:
        """Returns a split without content and its longest batch, for compiling a step without a corpus.

        Raises:
          InputError: if the task cannot determine it.
        """
        raise InputError(f"{type(self).__name__}: cannot be compiled without its corpus: define longest_batch")


class TokenTask(Task):
    """A task whose model predicts the tokens of a tokenizer."""

    loss = staticmethod(token_loss)  # pyright: ignore - it needs no self

    def complete(self, model: Any, corpus: Any) -> Any:
        """Sets `vocab_size` to that of the tokenizer if it is 0; raises InputError if it is too small."""
        tokens = corpus.tokenizer.vocab_size
        if 0 < model.vocab_size < tokens:
            raise InputError(f"model.vocab_size = {model.vocab_size}: must be 0, or at least the tokenizer's {tokens}")
        return replace(model, vocab_size=model.vocab_size or tokens)

    def identity(self, corpus: Any) -> dict[str, str]:
        """Returns hashes of the corpus and the tokenizer."""
        tokenizer: Tokenizer = corpus.tokenizer
        digest = hashlib.blake2b(tokenizer.to_json().encode(), digest_size=16).hexdigest()
        return {**super().identity(corpus), "the tokenizer": digest}

    def check_continues(self, run: RunDirectory, corpus: Any) -> None:
        """Raises InputError if the corpus changed so that its tokenizer gives token ids another meaning."""
        file = run.tokenizer_file
        if file.exists() and state_steps(run) and not run.tokenizer.has_tokens_of(corpus.tokenizer):
            raise InputError(
                f"{file}: differs from the tokenizer of the corpus, which has changed since the run began; "
                "choose another --workdir, or try --data.normalization none if the run is older than that option"
            )


def task_for(config: Config) -> Task:
    """Returns the task that trains on a configuration's kind of data; `DataConfig.task` names its class."""
    return pkgutil.resolve_name(config.data.task)()
