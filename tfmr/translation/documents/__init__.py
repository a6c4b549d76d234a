"""Documents: text, Markdown, HTML and SubRip, translated with everything but their text as it is."""

from tfmr.translation.documents.document import check_document, document_text, document_type, translate_document

__all__ = ["check_document", "document_text", "document_type", "translate_document"]
