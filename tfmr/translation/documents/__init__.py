"""Documents: text, Markdown, HTML and SubRip, translated with everything but their text as it is."""

from tfmr.translation.documents.document import SEGMENTS, document_type, translate_document

__all__ = ["SEGMENTS", "document_type", "translate_document"]
