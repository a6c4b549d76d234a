"""Machine translation: the translator, scores, alignments, BLEU, and the task of training it."""

from tfmr.errors import require_packages

require_packages("tokenizers", "sacrebleu")

from tfmr.translation.alignment import Alignment
from tfmr.translation.documents import check_document, document_text, document_type, translate_document
from tfmr.translation.engines import open_translator
from tfmr.translation.glossary import Glossary
from tfmr.translation.hypotheses import Hypothesis
from tfmr.translation.mbr import MinimumBayesRisk
from tfmr.translation.rescoring import Rescored
from tfmr.translation.scores import Scores, corpus_scores, evaluate
from tfmr.translation.scoring import Score
from tfmr.translation.translator import Translator

__all__ = [
    "Alignment",
    "Glossary",
    "Hypothesis",
    "MinimumBayesRisk",
    "Rescored",
    "Score",
    "Scores",
    "Translator",
    "check_document",
    "corpus_scores",
    "document_text",
    "document_type",
    "evaluate",
    "open_translator",
    "translate_document",
]
