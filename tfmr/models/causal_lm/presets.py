"""Well-known language models: GPT-2 in four sizes, GPT-3, and two models of characters."""

from tfmr.config import CausalLMConfig


def _of_width(num_layers: int, num_heads: int, d_model: int, **others) -> CausalLMConfig:
    """Returns a model with GPT's proportions: heads of d_model / num_heads, and d_ff = 4 d_model."""
    width = d_model // num_heads
    return CausalLMConfig(
        num_layers=num_layers,
        num_heads=num_heads,
        d_model=d_model,
        d_k=width,
        d_v=width,
        d_ff=4 * d_model,
        **others,
    )


def gpt2_small() -> CausalLMConfig:
    """Returns the smallest GPT-2 (Radford et al. 2019): 124 439 808 parameters."""
    return _of_width(12, 12, 768, vocab_size=50_257)


def gpt2_medium() -> CausalLMConfig:
    """Returns the second GPT-2: 355 million parameters."""
    return _of_width(24, 16, 1024, vocab_size=50_257)


def gpt2_large() -> CausalLMConfig:
    """Returns the third GPT-2: 774 million parameters."""
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
