"""What the page shows of a model, as JSON objects: pure functions of a translator, a generator or a run."""

from tfmr.serving.explore.models import can_explore, describe_model, learning_curves, parameter_parts
from tfmr.serving.explore.searches import compare_searches
from tfmr.serving.explore.sentences import compile_exploring, explore_translation
from tfmr.serving.explore.texts import continue_text

__all__ = [
    "can_explore",
    "compare_searches",
    "compile_exploring",
    "continue_text",
    "describe_model",
    "explore_translation",
    "learning_curves",
    "parameter_parts",
]
