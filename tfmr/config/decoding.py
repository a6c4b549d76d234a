"""Sampling, generation and the search for translations."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tfmr.config.checks import Checks, require

Engine = Literal["jax", "ctranslate2"]
"""What searches for translations: JAX, or CTranslate2 on the CPU, which does not have every option."""
ComputeType = Literal[
    "float32", "int8", "int8_float32", "int8_bfloat16", "int8_float16", "int16", "bfloat16", "float16"
]
"""The number type of CTranslate2's products."""


@dataclass(frozen=True)
class SamplingConfig:
    """How tokens are sampled. Each rule restricts the set of tokens to sample from."""

    temperature: float = 0.0
    """Divides the logits: a higher temperature makes rare tokens more likely. 0 disables sampling."""
    top_k: int = 0
    """Sample from the k most probable tokens only. 0 disables it."""
    top_p: float = 1.0
    """Sample from the most probable tokens that together reach this probability (Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Sample from tokens that have at least this fraction of the highest probability (Nguyen et al. 2024)."""
    seed: int = 0
    """Random seed. The same seed gives the same outputs for any batch size."""

    _SECTION: ClassVar[str] = "decoding.sampling"

    def __post_init__(self):
        check = Checks(self._SECTION, self)
        check.at_least_zero("temperature", "top_k", "seed")
        check.require("top_p", 0.0 < self.top_p <= 1.0, "must be in (0, 1]")
        check.require("min_p", 0.0 <= self.min_p <= 1.0, "must be in [0, 1]")
        rules = [name for name, off in (("top_k", 0), ("top_p", 1.0), ("min_p", 0.0)) if getattr(self, name) != off]
        fix = f"must be greater than 0 for {' and '.join(rules)} to have an effect"
        check.require("temperature", self.temperature > 0 or not rules, fix)


@dataclass(frozen=True)
class GenerationConfig(SamplingConfig):
    """How a language model continues a text."""

    temperature: float = 1.0
    """Divides the logits: a higher temperature makes rare tokens more likely. 0: always take the most probable."""
    max_new_tokens: int = 256
    """Maximum number of tokens to generate."""
    stop: tuple[str, ...] = ()
    """Strings that end the output. The output is cut before the first of them."""
    window: bool = False
    """Whenever the context window is full, keep its last half and continue. Without this option, such a request is
    rejected."""
    batch_size: int = 64
    """Number of texts generated together. Does not affect the output."""

    _SECTION = "generation"

    def __post_init__(self):
        super().__post_init__()
        check = Checks(self._SECTION, self)
        check.positive("max_new_tokens", "batch_size")
        check.require("stop", all(self.stop), "contains an empty string; remove it")
        check.text("stop")


@dataclass(frozen=True)
class DecodingConfig:
    """How to search for translations (section 6.1)."""

    beam_size: int = 4
    """Number of hypotheses in the beam. 1 is greedy search."""
    length_penalty: Literal["gnmt", "power"] = "gnmt"
    """Divisor of a hypothesis's log-probability: ((5 + length) / 6)^alpha (gnmt) or length^alpha (power)."""
    alpha: float = 0.6
    """Exponent of the length penalty. 0 disables it."""
    coverage_penalty: float = 0.0
    """Beta of the coverage penalty for source tokens that receive little attention (Wu et al. 2016, equation 14).
    0 disables it."""
    diversity: float = 0.0
    """Penalty per rank for the 2nd, 3rd, ... continuation of the same hypothesis (Li et al. 2016). 0 disables it."""
    extra_length: int = 50
    """Maximum number of tokens by which an output may exceed its source in length."""
    max_source_length: int = 1024
    """Maximum number of source tokens, including EOS. Longer sources are truncated with a warning. Learned positions
    may allow fewer. Memory grows with the square of this length."""
    min_length: int = 0
    """Minimum output length in tokens, including EOS."""
    max_length: int = 0
    """Maximum output length in tokens, including EOS, for any source. 0: limited only by extra_length."""
    no_repeat_ngram: int = 0
    """Forbid n-grams of this size from occurring twice in an output. 0 disables it."""
    forbidden: tuple[str, ...] = ()
    """Words or phrases that no output may contain, spelled as they would appear."""
    required: tuple[str, ...] = ()
    """Words or phrases that every output must contain, spelled as they should appear. Use a beam of 4 or more to place
    them well."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Sample outputs instead of searching for the best."""
    batch_size: int = 64
    """Number of sentences decoded together. Does not affect the translations."""

    def __post_init__(self):
        check = Checks("decoding", self)
        check.positive("beam_size", "extra_length", "batch_size")
        check.require("max_source_length", self.max_source_length > 1, "must be 2 or greater")
        check.at_least_zero("alpha", "coverage_penalty", "diversity", "min_length", "max_length", "no_repeat_ngram")
        enough = self.max_length == 0 or self.min_length <= self.max_length
        check.require("min_length", enough, f"must be at most decoding.max_length = {self.max_length}")
        check.text("forbidden", "required")
        for name in ("forbidden", "required"):
            check.require(name, all(map(str.strip, getattr(self, name))), "contains an empty word; remove it")
        both = sorted(set(self.forbidden) & set(self.required))
        require(not both, "decoding.required", both, "cannot also be in decoding.forbidden")
        if (temperature := self.sampling.temperature) > 0:
            searched = ("coverage_penalty", "diversity", "required")
            given = ", ".join(f"decoding.{name}" for name in searched if getattr(self, name))
            require(not given, "decoding.sampling.temperature", temperature, f"cannot be combined with {given}")
