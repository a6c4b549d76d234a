"""What the page shows of a model, as JSON objects: pure functions of a translator, a generator or a run."""

from tfmr.serving.explore.models import describe_generator, describe_translator, learning_curves, parameter_parts
from tfmr.serving.explore.searches import compare_searches
from tfmr.serving.explore.sentences import compile_exploring, explore_translation
from tfmr.serving.explore.texts import continue_text

__all__ = [
    "compare_searches",
    "compile_exploring",
    "continue_text",
    "describe_generator",
    "describe_translator",
    "explore_translation",
    "learning_curves",
    "parameter_parts",
]
