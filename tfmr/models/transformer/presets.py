"""The paper's models: base, big, and every row of Table 3."""

import dataclasses
from dataclasses import dataclass

from tfmr.config import TransformerConfig


def transformer_base(vocab_size: int = 37_000) -> TransformerConfig:
    """Returns the base model (Table 3): N = 6, d_model = 512, d_ff = 2048, h = 8, dropout 0.1."""
    return TransformerConfig(vocab_size=vocab_size)


def transformer_big(vocab_size: int = 37_000, dropout_rate: float = 0.3) -> TransformerConfig:
    """Returns the big model (Table 3): N = 6, d_model = 1024, d_ff = 4096, h = 16.

    Its dropout is 0.3 for English-German; for English-French the paper used 0.1 (section 6.1), and a vocabulary of
    32 000 word pieces.
    """
    return TransformerConfig(
        vocab_size=vocab_size, d_model=1024, d_ff=4096, num_heads=16, d_k=64, d_v=64, dropout_rate=dropout_rate
    )


@dataclass(frozen=True)
class Table3Row:
    """A row of Table 3: a model, how it was trained, and what was measured on newstest2013."""

    config: TransformerConfig
    """The model, with a vocabulary of 37 000."""
    perplexity: float
    """Published, per word piece of the byte-pair encoding."""
    bleu: float
    """Published; tokenised, not sacreBLEU."""
    parameters: int | None = None
    """Published, in millions; None where the table leaves it out. The closed form of
    `tfmr.analysis.parameter_count` differs by a few millions, as the exact vocabulary is not published."""
    label_smoothing: float = 0.1
    """Epsilon_ls of the training."""
    steps: int = 100_000
    """Updates of the training."""


def _base_but(
    perplexity: float, bleu: float, parameters: int | None = None, label_smoothing: float = 0.1, **changes
) -> Table3Row:
    config = dataclasses.replace(transformer_base(), **changes)
    return Table3Row(config, perplexity, bleu, parameters, label_smoothing)


def _heads(num_heads: int, width: int) -> dict[str, int]:
    return dict(num_heads=num_heads, d_k=width, d_v=width)


def _layers(num_layers: int) -> dict[str, int]:
    return dict(num_encoder_layers=num_layers, num_decoder_layers=num_layers)


TABLE_3: dict[str, Table3Row] = {
    "base": _base_but(4.92, 25.8, 65),
    # (A) The number of heads, at the same amount of computation.
    "A/h=1": _base_but(5.29, 24.9, **_heads(1, 512)),
    "A/h=4": _base_but(5.00, 25.5, **_heads(4, 128)),
    "A/h=16": _base_but(4.91, 25.8, **_heads(16, 32)),
    "A/h=32": _base_but(5.01, 25.4, **_heads(32, 16)),
    # (B) Smaller keys; the values stay as they are.
    "B/d_k=16": _base_but(5.16, 25.1, 58, d_k=16),
    "B/d_k=32": _base_but(5.01, 25.4, 60, d_k=32),
    # (C) The size of the model.
    "C/N=2": _base_but(6.11, 23.7, 36, **_layers(2)),
    "C/N=4": _base_but(5.19, 25.3, 50, **_layers(4)),
    "C/N=8": _base_but(4.88, 25.5, 80, **_layers(8)),
    "C/d_model=256": _base_but(5.75, 24.5, 28, d_model=256, **_heads(8, 32)),
    "C/d_model=1024": _base_but(4.66, 26.0, 168, d_model=1024, **_heads(8, 128)),
    "C/d_ff=1024": _base_but(5.12, 25.4, 53, d_ff=1024),
    "C/d_ff=4096": _base_but(4.75, 26.2, 90, d_ff=4096),
    # (D) Regularisation.
    "D/dropout=0.0": _base_but(5.77, 24.6, dropout_rate=0.0),
    "D/dropout=0.2": _base_but(4.95, 25.5, dropout_rate=0.2),
    "D/label_smoothing=0.0": _base_but(4.67, 25.3, label_smoothing=0.0),
    "D/label_smoothing=0.2": _base_but(5.47, 25.7, label_smoothing=0.2),
    # (E) Learned positions instead of sinusoids.
    "E/learned": _base_but(4.92, 25.7, positions="learned"),
    "big": Table3Row(transformer_big(), 4.33, 26.4, 213, steps=300_000),
}
"""Every row of Table 3, by its part and what it changes."""
