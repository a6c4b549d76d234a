"""Language modeling: generating text, and the task of training it."""

from tfmr.errors import require_packages

require_packages("tokenizers")

from tfmr.language_model.generator import Continuation, Generator, Piece, TextRequest

__all__ = ["Continuation", "Generator", "Piece", "TextRequest"]
