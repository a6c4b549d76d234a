"""The ids of the tokens that are not text: padding, unknown, beginning and end."""

from typing import NamedTuple

PAD_ID, UNK_ID, BOS_ID, EOS_ID = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
END_OF_TEXT = "<|endoftext|>"
"""The token between two documents in GPT-2's vocabulary."""


class Marks(NamedTuple):
    """The ids of the special tokens of a vocabulary: by default ours, or those of a byte-level BPE from elsewhere."""

    pad: int | None = PAD_ID
    """None: there is no padding token."""
    unk: int | None = UNK_ID
    """None: there is no token for unknown text, because no text is unknown."""
    bos: int = BOS_ID
    eos: int = EOS_ID
    """May be equal to `bos`: a token between documents."""
    begins: bool = True
    """Whether a document starts with `bos`. If not, only an empty document does, because a model needs some input."""

    @property
    def unwritten(self) -> tuple[int, ...]:
        """The tokens that a model never predicts, because no training target contains them."""
        return tuple(mark for mark in (self.pad, self.bos) if mark is not None and mark != self.eos)


OURS = Marks()
"""The special tokens of every tokenizer that this package trains."""
