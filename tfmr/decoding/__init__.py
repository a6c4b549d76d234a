"""From a model to text: greedy and beam search, and the translator that users call."""

from tfmr.config import DecodingConfig
from tfmr.decoding.beam import beam_search
from tfmr.decoding.greedy import greedy_search
from tfmr.decoding.search import SearchResult
from tfmr.decoding.top_k import top_k
from tfmr.decoding.translator import Translator

__all__ = ["DecodingConfig", "SearchResult", "Translator", "beam_search", "greedy_search", "top_k"]
