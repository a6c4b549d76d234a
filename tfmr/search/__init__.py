"""Greedy search, beam search, sampling and constraints, defined on steps, tokens and scores, not on texts or models."""

from tfmr.search.beam import beam_search
from tfmr.search.beam_tree import BeamNode, BeamTree
from tfmr.search.constraints import Constraints
from tfmr.search.greedy import greedy_search, sample
from tfmr.search.sampling import filter_logits
from tfmr.search.search import SearchResult, StepOutput
from tfmr.search.top_k import top_k

__all__ = [
    "BeamNode",
    "BeamTree",
    "Constraints",
    "SearchResult",
    "StepOutput",
    "beam_search",
    "filter_logits",
    "greedy_search",
    "sample",
    "top_k",
]
