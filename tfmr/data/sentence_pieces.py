"""The tokenizer of an imported model: two SentencePiece models, one a language, that share a vocabulary.

Its tokenizer.json holds the files of both, so that a run directory needs nothing else. It is read, never trained.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfmr.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPECIAL_TOKENS, UNK_ID, TokenIds, Tokenizer
from tfmr.errors import InputError

KIND = "SentencePiece"


class SentencePieceTokenizer(Tokenizer):
    """Cuts source and target each by its own SentencePiece model.

    A line may begin with the language to translate into, as `>>deu<< `, where the vocabulary has such a token. What is
    no piece of the vocabulary is unknown, and left out of decoded text.
    """

    def __init__(self, pieces: Mapping[str, int], source_model: bytes, target_model: bytes, name: str = "tokenizer"):
        """Makes the tokenizer.

        Args:
          pieces: the id of each piece.
          source_model: what is in the SentencePiece file of the source language.
          target_model: likewise of the target language.
          name: what errors call it.

        Raises:
          InputError: if sentencepiece is not installed, or cannot read a model; if the special tokens are others.
        """
        self.kind = "sentencepiece"
        self._pieces = {**pieces, SPECIAL_TOKENS[BOS_ID]: pieces.get(SPECIAL_TOKENS[BOS_ID], BOS_ID)}
        self._names = {number: piece for piece, number in self._pieces.items()}
        self.vocab_size = max(self._names) + 1
        self._models = {"source": source_model, "target": target_model}
        self._source, self._target = (_load(f"{name}, {side}", data) for side, data in self._models.items())
        special = {SPECIAL_TOKENS[number]: number for number in (PAD_ID, UNK_ID, EOS_ID)}
        if any(self._pieces.get(token) != number for token, number in special.items()):
            raise InputError(f"{name}: its vocabulary must have {special}")

    @classmethod
    def from_content(cls, content: Mapping[str, Any], name: str) -> "SentencePieceTokenizer":
        """Restores a tokenizer from the content of its tokenizer.json; raises InputError where that is damaged."""
        try:
            model = content["model"]
            pieces = {str(piece): int(number) for piece, number in model["vocab"].items()}
            source, target = (base64.b64decode(model[side], validate=True) for side in ("source", "target"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name}: is damaged ({type(error).__name__}: {error}): import the model again") from None
        return cls(pieces, source, target, name)

    def to_json(self) -> str:
        """Returns the text of the tokenizer.json that restores this tokenizer."""
        models = {side: base64.b64encode(data).decode() for side, data in self._models.items()}
        return json.dumps({"model": {"type": KIND, "vocab": self._pieces, **models}}, ensure_ascii=False, indent=1)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of one line of the source language."""
        return [self._pieces.get(piece, UNK_ID) for piece in self._cut(self._source, text)]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the source language."""
        return [self.encode(text) for text in texts]

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of each line of the target language."""
        return [[self._pieces.get(piece, UNK_ID) for piece in self._cut(self._target, text)] for text in texts]

    def decode(self, ids: TokenIds) -> str:
        """Returns the text of token ids of the target language."""
        special = (PAD_ID, UNK_ID, BOS_ID, EOS_ID)
        pieces = [self._names[number] for number in map(int, ids) if number not in special and number in self._names]
        return self._target.decode_pieces(pieces).replace("▁", " ").strip()

    def decode_batch(self, ids: Any) -> list[str]:
        """Returns the text of each sequence of token ids of the target language."""
        return [self.decode(row) for row in ids]

    def pieces(self) -> list[bytes]:
        """Returns what each token adds to a text, in bytes; the start, end, padding and unknown marks add nothing."""
        special = (PAD_ID, UNK_ID, BOS_ID, EOS_ID)
        names = ["" if number in special else self._names.get(number, "") for number in range(self.vocab_size)]
        return [name.replace("▁", " ").encode() for name in names]

    def unkept(self, text: str) -> list[str]:
        """Returns the pieces of a target line that are unknown, or the line if decoding gives it back otherwise."""
        unknown = [piece for piece in self._cut(self._target, text) if piece not in self._pieces]
        kept = self.decode(self.encode_targets([text])[0]) == text
        return unknown or ([] if kept else [text])

    def _cut(self, model: Any, text: str) -> list[str]:
        language = ""
        if text.startswith(">>") and "<<" in text:
            end = text.index("<<") + 2
            language, text = text[:end], text[end:]
        return [language, *model.encode(text, out_type=str)] if language else model.encode(text, out_type=str)


def _load(name: str, data: bytes) -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise InputError(f"{name}: sentencepiece is needed: pip install 'tfmr[interop]' ({error})") from None
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise InputError(f"{name}: is no SentencePiece model ({str(error).splitlines()[0]})") from None
