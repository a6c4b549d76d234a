"""Attention of a model to text: tokens, marks and labels are made here, text comes in."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from tfmr.analysis.attention_maps import attention_weights
from tfmr.analysis.attention_pictures import plot_attention, plot_attention_layers
from tfmr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Stack = Literal["encoder", "decoder", "cross"]
"""Who looks at whom: the source at itself, the target at itself, or the target at the source."""

_NAMES = {
    "encoder": ("encoder", "self_attention", "where each token of the source looks in the source"),
    "decoder": ("decoder", "self_attention", "where each token of the target looks in the target"),
    "cross": ("decoder", "cross_attention", "where each head looks in the source"),
}


class SentenceAttention(NamedTuple):
    """The attention of a translation model to a pair of sentences, with its tokens."""

    weights: dict[str, Float[np.ndarray, "heads query key"]]
    """By name; see `attention_weights`."""
    source: list[str]
    """The source's tokens, the end mark included."""
    target_input: list[str]
    """What the decoder reads: the start mark, and the target's tokens."""
    target_output: list[str]
    """What it writes at the same places: the target's tokens, and the end mark."""


def sentence_attention(translator: Any, source: str, target: str | None = None) -> SentenceAttention:
    """Returns where a translation model looks when it translates a sentence.

    Args:
      translator: a `tfmr.translation.Translator`; of an ensemble its first model.
      source: the sentence.
      target: a translation of it; None: the translator's own.

    Raises:
      InputError: if the sentence is blank, or too long for learned positions.
    """
    if not source.strip():
        raise InputError(f"sentence {source!r}: there is nothing to translate")
    target = translator.translate([source])[0] if target is None else target
    tokenizer = translator.tokenizer
    read, [written] = tokenizer.encode(source), tokenizer.encode_targets([target])
    arrays = [*read, tokenizer.eos_id], [tokenizer.bos_id, *written]
    weights = attention_weights(translator.model.config, translator.params, *arrays)
    source_texts, target_texts = tokenizer.token_texts(read), tokenizer.token_texts(written)
    return SentenceAttention(weights, [*source_texts, "end"], ["start", *target_texts], [*target_texts, "end"])


def plot_sentence_attention(
    translator: Any,
    source: str,
    target: str | None = None,
    *,
    stack: Stack = "cross",
    layer: int | None = -1,
    head: int | None = None,
) -> "Figure":
    """Draws where a translation model looks when it translates a sentence: rows look at columns.

    Args:
      translator: a `tfmr.translation.Translator`; of an ensemble its first model.
      source: the sentence.
      target: a translation of it; None: the translator's own.
      stack: encoder: the source at itself; decoder: the target at itself; cross: from the target to the source, where
        a row is the token that is written.
      layer: of the stack, from 0; -1: the last; None: all, in small.
      head: of the layer, from 0; None: all.

    Returns:
      A figure, as `plot_attention`.

    Raises:
      InputError: as `sentence_attention`, or if there is no such stack, layer or head.
    """
    config = translator.model.config
    if stack not in _NAMES:
        raise InputError(f"stack = {stack!r}: must be one of {', '.join(_NAMES)}")
    number = config.num_encoder_layers if stack == "encoder" else config.num_decoder_layers
    layer = _check(layer, number, head, config.num_heads)
    attention = sentence_attention(translator, source, target)
    labels = {
        "encoder": (attention.source, attention.source),
        "decoder": (attention.target_input, attention.target_input),
        "cross": (attention.target_output, attention.source),
    }
    part, name, meaning = _NAMES[stack]
    maps = [attention.weights[f"{part}/layer_{i}/{name}"] for i in range(number)]
    return _plot(maps, labels[stack], layer, head, part.capitalize(), meaning)


def plot_text_attention(generator: Any, text: str, *, layer: int | None = -1, head: int | None = None) -> "Figure":
    """Draws where a language model looks back in a text: rows look at columns.

    Args:
      generator: a `tfmr.language_model.Generator`.
      text: which the model reads; a beginning of a document where it was trained on documents.
      layer: from 0; -1: the last; None: all, in small.
      head: of the layer, from 0; None: all.

    Returns:
      A figure, as `plot_attention`.

    Raises:
      InputError: if the text is empty or longer than the model's context, or there is no such layer or head.
    """
    config, tokenizer = generator.model.config, generator.tokenizer
    layer = _check(layer, config.num_layers, head, config.num_heads)
    tokens = tokenizer.encode(text)
    if not tokens:
        raise InputError(f"text {text!r}: has no tokens to look at")
    labels = tokenizer.token_texts(tokens)
    if generator.has_documents:
        tokens, labels = [tokenizer.bos_id, *tokens], ["start", *labels]
    weights = attention_weights(config, generator.params, tokens)
    maps = [weights[f"decoder/layer_{i}/self_attention"] for i in range(config.num_layers)]
    return _plot(maps, (labels, labels), layer, head, "Decoder", "where each token looks back")


def _check(layer: int | None, num_layers: int, head: int | None, num_heads: int) -> int | None:
    """Returns the number of the layer, of which -1 is the last; before any work."""
    for name, value, number in (("layer", layer, num_layers), ("head", head, num_heads)):
        if value is not None and not 0 <= value < number and (name, value) != ("layer", -1):
            raise InputError(f"{name} = {value}: must be from 0 to {number - 1}")
    return None if layer is None else layer % num_layers


def _plot(
    maps: list[Float[np.ndarray, "heads query key"]],
    labels: tuple[list[str], list[str]],
    layer: int | None,
    head: int | None,
    part: str,
    meaning: str,
) -> "Figure":
    if layer is None:
        return plot_attention_layers(maps, *labels, head=head, title=f"{part}: {meaning}")
    return plot_attention(maps[layer], *labels, head=head, title=f"{part}, layer {layer}: {meaning}")
