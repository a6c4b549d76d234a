"""Language modeling: batches of running text, and generation."""

from tfmr.language_model.generator import Continuation, Generator, Piece

__all__ = ["Continuation", "Generator", "Piece"]
