"""From a model to text: greedy and beam search, the translator that users call, scores and alignments."""

from tfmr.config import DecodingConfig
from tfmr.decoding.alignment import Alignment
from tfmr.decoding.beam import beam_search
from tfmr.decoding.beam_tree import BeamNode, BeamTree
from tfmr.decoding.constraints import Constraints
from tfmr.decoding.generator import Continuation, Generator, Piece
from tfmr.decoding.greedy import greedy_search, sample
from tfmr.decoding.sampling import filter_logits
from tfmr.decoding.scoring import Score
from tfmr.decoding.search import SearchResult, StepOutput
from tfmr.decoding.top_k import top_k
from tfmr.decoding.translator import Hypothesis, Translator

__all__ = [
    "Alignment",
    "BeamNode",
    "BeamTree",
    "Constraints",
    "Continuation",
    "DecodingConfig",
    "Generator",
    "Hypothesis",
    "Piece",
    "Score",
    "SearchResult",
    "StepOutput",
    "Translator",
    "beam_search",
    "filter_logits",
    "greedy_search",
    "sample",
    "top_k",
]
