"""Language modeling: generating text, and the task of training it."""

from tfmr.language_model.generator import Continuation, Generator, Piece

__all__ = ["Continuation", "Generator", "Piece"]
