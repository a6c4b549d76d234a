"""The compiled program that searches for the translations of a batch."""

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
from tfmr.search.sampling import compiled_sampling
from tfmr.search.search import SearchResult
from tfmr.search.values import SearchValues
from tfmr.translation.model_step import model_step


def compiled_part(config: DecodingConfig) -> DecodingConfig:
    """Returns the config without what the program takes as arrays (words, limits, `SearchValues`), to compile it only
    once."""
    usual = DecodingConfig()
    in_arrays = ("extra_length", "max_source_length", "max_length", "forbidden", "required", "batch_size")
    in_arrays += ("length_penalty", "alpha")
    sampling = compiled_sampling(config.sampling)
    return dataclasses.replace(config, sampling=sampling, **{name: getattr(usual, name) for name in in_arrays})


@functools.partial(jax.jit, static_argnames=("models", "config", "max_length", "number", "shrink", "record"))
def search_batch(
    params: tuple[dict, ...],
    source: Int[Array, "batch source"],
    constraints: Constraints,
    values: SearchValues,
    lines: Int[Array, " batch"],
    seed: UInt[Array, ""],
    *,
    models: tuple[Transformer, ...],
    config: DecodingConfig,
    max_length: int,
    number: int,
    shrink: bool,
    record: bool = False,
) -> tuple[SearchResult, BeamSteps | None]:
    """Returns the best outputs for each source of a batch, or random ones.

    Args:
      params, models: those of each member of an ensemble.
      source: token ids up to EOS, then PAD.
      constraints: the rules for the outputs.
      values: the numbers of the config that are arrays.
      lines, seed: the line number of each source, and a number; samples depend on both.
      config: how to search; see `compiled_part`.
      max_length: the number of tokens of the longest output.
      number: the number of outputs for each source.
      shrink: continue with a smaller batch as soon as few rows are running. Must be False if rows are sharded.
      record: use beam search, even with a beam of 1, and also return what each step selected.
    """
    samples = config.sampling.temperature > 0
    size = number if samples else config.beam_size
    segments = (source != PAD_ID).astype(np.int32)
    arguments = source, segments, max_length, size, config.coverage_penalty > 0
    members = [model_step(model, each, *arguments) for model, each in zip(models, params, strict=True)]
    search = *ensemble_step(members), constraints
    if record:
        return record_beam_search(*search, max_length, config, number, values=values)
    if samples:
        keys = _sample_keys(seed, lines, number)
        return sample(*search, keys, max_length, config, values=values, shrink=shrink), None
    if size == 1 and constraints.required is None and config.coverage_penalty == 0:
        return greedy_search(*search, max_length, config, values=values, shrink=shrink), None
    return beam_search(*search, max_length, config, number, values=values, shrink=shrink), None


def _sample_keys(seed: UInt[Array, ""], lines: Int[Array, " batch"], number: int) -> Array:
    """Returns a random key for each sample of each line, which does not depend on the batch."""
    fold = jax.random.fold_in
    of_line = jax.vmap(fold, (None, 0))(jax.random.key(seed), lines)
    return jax.vmap(jax.vmap(fold, (None, 0)), (0, None))(of_line, np.arange(number))
