"""Well-known models: the paper's, a T5, GPT-2 in four sizes, GPT-3, and two character-level models."""

import dataclasses
from dataclasses import dataclass

from tfmr.config.causal_lm import CausalLMConfig
from tfmr.config.transformer import TransformerConfig


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


def t5_small(vocab_size: int = 32_128) -> TransformerConfig:
    """Returns the smallest T5 v1.1 (Raffel et al. 2020): 77 million parameters.

    Its feed-forward networks have gates, and its output has a matrix of its own.
    """
    return TransformerConfig(
        vocab_size=vocab_size,
        num_encoder_layers=8,
        num_decoder_layers=8,
        d_model=512,
        d_ff=1024,
        num_heads=6,
        d_k=64,
        d_v=64,
        norm="pre",
        norm_type="rms",
        positions="relative",
        tie_embeddings="inputs",
        scale_embeddings=False,
        scale_scores=False,
        activation="gelu",
        gated=True,
        feed_forward_bias=False,
    )


@dataclass(frozen=True)
class Table3Row:
    """A row of Table 3: a model, its training, and the published results on newstest2013."""

    config: TransformerConfig
    """The model, with a vocabulary of 37 000."""
    perplexity: float
    """Published perplexity per word piece."""
    bleu: float
    """Published BLEU, tokenised; not sacreBLEU."""
    parameters: int | None = None
    """Published number of parameters in millions; None if the table has none. `tfmr.analysis.parameter_count` differs
    by a few million, because the exact vocabulary is not published."""
    label_smoothing: float = 0.1
    """Label smoothing, epsilon_ls."""
    steps: int = 100_000
    """Training steps."""


def _changed_base(
    perplexity: float, bleu: float, parameters: int | None = None, label_smoothing: float = 0.1, **changes
) -> Table3Row:
    config = dataclasses.replace(transformer_base(), **changes)
    return Table3Row(config, perplexity, bleu, parameters, label_smoothing)


def _heads(num_heads: int, width: int) -> dict[str, int]:
    return dict(num_heads=num_heads, d_k=width, d_v=width)


def _layers(num_layers: int) -> dict[str, int]:
    return dict(num_encoder_layers=num_layers, num_decoder_layers=num_layers)


TABLE_3: dict[str, Table3Row] = {
    "base": _changed_base(4.92, 25.8, 65),
    # (A) Number of heads, with constant computation.
    "A/h=1": _changed_base(5.29, 24.9, **_heads(1, 512)),
    "A/h=4": _changed_base(5.00, 25.5, **_heads(4, 128)),
    "A/h=16": _changed_base(4.91, 25.8, **_heads(16, 32)),
    "A/h=32": _changed_base(5.01, 25.4, **_heads(32, 16)),
    # (B) Smaller keys, with values of the same size.
    "B/d_k=16": _changed_base(5.16, 25.1, 58, d_k=16),
    "B/d_k=32": _changed_base(5.01, 25.4, 60, d_k=32),
    # (C) Size of the model.
    "C/N=2": _changed_base(6.11, 23.7, 36, **_layers(2)),
    "C/N=4": _changed_base(5.19, 25.3, 50, **_layers(4)),
    "C/N=8": _changed_base(4.88, 25.5, 80, **_layers(8)),
    "C/d_model=256": _changed_base(5.75, 24.5, 28, d_model=256, **_heads(8, 32)),
    "C/d_model=1024": _changed_base(4.66, 26.0, 168, d_model=1024, **_heads(8, 128)),
    "C/d_ff=1024": _changed_base(5.12, 25.4, 53, d_ff=1024),
    "C/d_ff=4096": _changed_base(4.75, 26.2, 90, d_ff=4096),
    # (D) Regularisation.
    "D/dropout=0.0": _changed_base(5.77, 24.6, dropout_rate=0.0),
    "D/dropout=0.2": _changed_base(4.95, 25.5, dropout_rate=0.2),
    "D/label_smoothing=0.0": _changed_base(4.67, 25.3, label_smoothing=0.0),
    "D/label_smoothing=0.2": _changed_base(5.47, 25.7, label_smoothing=0.2),
    # (E) Learned positions instead of sinusoids.
    "E/learned": _changed_base(4.92, 25.7, positions="learned"),
    "big": Table3Row(transformer_big(), 4.33, 26.4, 213, steps=300_000),
}
"""The rows of Table 3, named by their part and what they change."""


def _of_width(num_layers: int, num_heads: int, d_model: int, **others) -> CausalLMConfig:
    """Returns a model with GPT's proportions: heads of d_model / num_heads, and d_ff = 4 d_model."""
    width = d_model // num_heads
    sizes = dict(num_layers=num_layers, num_heads=num_heads, d_model=d_model, d_k=width, d_v=width, d_ff=4 * d_model)
    return CausalLMConfig(**sizes, **others)


def gpt2_small() -> CausalLMConfig:
    """Returns the smallest GPT-2 (Radford et al. 2019): 124 439 808 parameters."""
    return _of_width(12, 12, 768, vocab_size=50_257)


def gpt2_medium() -> CausalLMConfig:
    """Returns the second-smallest GPT-2: 355 million parameters."""
    return _of_width(24, 16, 1024, vocab_size=50_257)


def gpt2_large() -> CausalLMConfig:
    """Returns the second-largest GPT-2: 774 million parameters."""
    return _of_width(36, 20, 1280, vocab_size=50_257)


def gpt2_xl() -> CausalLMConfig:
    """Returns the largest GPT-2: 1.5 billion parameters. Its 25 heads are 64 wide."""
    return _of_width(48, 25, 1600, vocab_size=50_257)


def gpt3() -> CausalLMConfig:
    """Returns the largest GPT-3 (Brown et al. 2020, table 2.1), with dense attention: 175 billion parameters."""
    return _of_width(96, 96, 12_288, vocab_size=50_257, max_length=2048, dropout_rate=0.0, attention_dropout_rate=0.0)


def characters_small(vocab_size: int = 0) -> CausalLMConfig:
    """Returns the model of `configs/shakespeare_char_cpu.py`: 4 layers, 4 heads, 128 wide, 64 characters of context."""
    none = dict(dropout_rate=0.0, attention_dropout_rate=0.0, bias=False)
    return _of_width(4, 4, 128, vocab_size=vocab_size, max_length=64, **none)


def characters(vocab_size: int = 0) -> CausalLMConfig:
    """Returns the model of `configs/shakespeare_char.py`: 6 layers, 6 heads, 384 wide, 256 characters of context."""
    dropped = dict(dropout_rate=0.2, attention_dropout_rate=0.2, bias=False)
    return _of_width(6, 6, 384, vocab_size=vocab_size, max_length=256, **dropped)
