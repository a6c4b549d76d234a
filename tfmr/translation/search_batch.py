"""One batch of sources in, the outputs that the search finds for it out: the compiled programs of translating."""

import dataclasses
import functools

import jax
import numpy as np
from jax import Array
from jaxtyping import Int, UInt

from tfmr.config import DecodingConfig
from tfmr.data.tokenizer import PAD_ID
from tfmr.models import Transformer
from tfmr.search.beam import BeamSteps, beam_search, record_beam_search
from tfmr.search.constraints import Constraints
from tfmr.search.ensemble import ensemble_step
from tfmr.search.greedy import greedy_search, sample
from tfmr.search.search import Cache, SearchResult, Step
from tfmr.translation.model_step import model_step


def compiled_part(config: DecodingConfig) -> DecodingConfig:
    """Returns what of a config the programs are made from; the rest (seed, words, limits) comes to them in arrays."""
    usual = DecodingConfig()
    in_arrays = ("extra_length", "max_source_length", "max_length", "forbidden", "required", "batch_size")
    sampling = dataclasses.replace(config.sampling, seed=usual.sampling.seed)
    return dataclasses.replace(config, sampling=sampling, **{name: getattr(usual, name) for name in in_arrays})


@functools.partial(jax.jit, static_argnames=("models", "config", "max_length", "number", "shrink"))
def search_batch(
    params: tuple[dict, ...],
    source: Int[Array, "batch source"],
    constraints: Constraints,
    lines: Int[Array, " batch"],
    seed: UInt[Array, ""],
    *,
    models: tuple[Transformer, ...],
    config: DecodingConfig,
    max_length: int,
    number: int,
    shrink: bool,
) -> SearchResult:
    """Returns the best outputs for each source of a batch, or draws some.

    Args:
      params: the parameters of each member of an ensemble.
      source: token ids, EOS at the end, then PAD.
      constraints: what the outputs must and must not hold.
      lines: the number of each source's line, on which samples depend.
      seed: on which they depend too.
      models: the members.
      config: how to search; see `compiled_part`.
      max_length: tokens of the longest output.
      number: outputs for each source.
      shrink: go on with fewer rows when most are done; not where rows are sharded.
    """
    samples = config.sampling.temperature > 0
    size = number if samples else config.beam_size
    step, cache = _start(models, params, source, max_length, size, config)
    if samples:
        keys = _sample_keys(seed, lines, number)
        return sample(step, cache, constraints, keys, max_length, config, shrink=shrink)
    if size == 1 and constraints.required is None and config.coverage_penalty == 0:
        return greedy_search(step, cache, constraints, max_length, config, shrink=shrink)
    return beam_search(step, cache, constraints, max_length, config, number, shrink=shrink)


@functools.partial(jax.jit, static_argnames=("models", "config", "max_length", "number"))
def record_batch(
    params: tuple[dict, ...],
    source: Int[Array, "batch source"],
    constraints: Constraints,
    *,
    models: tuple[Transformer, ...],
    config: DecodingConfig,
    max_length: int,
    number: int,
) -> tuple[SearchResult, BeamSteps]:
    """Returns what `search_batch` finds with a beam, and all that the beam held on the way."""
    step, cache = _start(models, params, source, max_length, config.beam_size, config)
    return record_beam_search(step, cache, constraints, max_length, config, number)


def _start(
    models: tuple[Transformer, ...],
    params: tuple[dict, ...],
    source: Int[Array, "batch source"],
    max_length: int,
    size: int,
    config: DecodingConfig,
) -> tuple[Step, Cache]:
    segments = (source != PAD_ID).astype(np.int32)
    arguments = source, segments, max_length, size, config.coverage_penalty > 0
    return ensemble_step([model_step(model, each, *arguments) for model, each in zip(models, params, strict=True)])


def _sample_keys(seed: UInt[Array, ""], lines: Int[Array, " batch"], number: int) -> Array:
    """Returns a random key for each sample of each line, the same in whatever batch the line stands."""
    fold = jax.random.fold_in
    of_line = jax.vmap(fold, (None, 0))(jax.random.key(seed), lines)
    return jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(of_line, np.arange(number))
