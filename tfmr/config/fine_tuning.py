"""Starting from the parameters of another run."""

import math
from dataclasses import dataclass, fields

from tfmr.config.checks import Checks


@dataclass(frozen=True)
class FineTuningConfig:
    """The parameters that a run starts from, and which of them learn.

    Patterns such as `decoder.*` or `*.feed_forward.*` select parameters by their names, which docs/interchange.md
    lists.
    """

    init_from: str = ""
    """A run directory, which may be an imported one: train a new run that starts from its parameters, with its model
    and tokenizer. Empty: random parameters. Short form: --init-from."""
    checkpoint: str = ""
    """The parameters of that run: averaged, best, last or a step. Empty: the first of these that exists, except an
    average that is older than the newest checkpoint."""
    trainable: tuple[str, ...] = ()
    """Patterns of the parameters that learn; the others stay as they are and take no memory in the optimizer. Empty:
    all, or with lora_rank none but the low-rank matrices."""
    learning_rate_factors: tuple[str, ...] = ()
    """PATTERN=FACTOR, such as 'encoder.*=0.1': a factor on the learning rate of these parameters. Of several patterns
    that match, the last one applies."""
    lora_rank: int = 0
    """Rank of the low-rank changes (LoRA) that learn in place of the matrices. The checkpoints contain only these; the
    run needs the run that it started from, until `tfmr merge`. 0: no LoRA."""
    lora_alpha: float = 16.0
    """Scale of the low-rank changes: they are multiplied by lora_alpha / lora_rank."""
    lora_matrices: tuple[str, ...] = ()
    """Patterns of the matrices that are changed. Empty: all matrices in the layers, which are those of attention and
    of the feed-forward networks."""
    new_tokens: tuple[str, ...] = ()
    """Tokens to add to the tokenizer, such as language tags or terms. In text, they are always whole tokens. Their rows
    in the embedding tables start from the mean of the others."""

    def __post_init__(self):
        check = Checks("fine_tuning", self)
        for field in fields(self):
            is_default = getattr(self, field.name) == field.default
            check.require(field.name, is_default or bool(self.init_from), "requires --init-from RUN")
        check.at_least_zero("lora_rank")
        check.positive("lora_alpha")
        for name in ("lora_alpha", "lora_matrices"):
            is_default = getattr(self, name) == getattr(FineTuningConfig, name)
            check.require(name, is_default or self.lora_rank > 0, "requires fine_tuning.lora_rank")
        fix = "must be PATTERN=FACTOR with a positive, finite factor, such as 'encoder.*=0.1'"
        check.require("learning_rate_factors", all(map(_is_factor, self.learning_rate_factors)), fix)
        tokens = self.new_tokens
        fix = "must not be empty or contain spaces"
        check.require("new_tokens", all(token.split() == [token] for token in tokens), fix)
        check.require("new_tokens", len(set(tokens)) == len(tokens), "must be different from each other")

    @property
    def factors(self) -> list[tuple[str, float]]:
        """The patterns of learning_rate_factors, each with its factor."""
        parts = (text.rpartition("=") for text in self.learning_rate_factors)
        return [(pattern, float(factor)) for pattern, _, factor in parts]


def _is_factor(text: str) -> bool:
    pattern, _, factor = text.rpartition("=")
    try:
        return bool(pattern) and 0.0 < float(factor) < math.inf
    except ValueError:
        return False
