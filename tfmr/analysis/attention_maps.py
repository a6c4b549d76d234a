"""The attention weights of a model (section 3.2), as arrays and as plots for raw text."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from tfmr.analysis.attention_pictures import plot_attention, plot_attention_layers
from tfmr.config import ModelConfig
from tfmr.errors import InputError
from tfmr.language_model import Generator
from tfmr.models import build_model
from tfmr.nn import unstack_layers
from tfmr.translation import Translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Stack = Literal["encoder", "decoder", "cross"]
"""Self-attention of the encoder, self-attention of the decoder, or cross-attention."""

_NAMES = {
    "encoder": ("encoder", "self_attention", "self-attention of the source"),
    "decoder": ("decoder", "self_attention", "self-attention of the target"),
    "cross": ("decoder", "cross_attention", "attention to the source"),
}


def attention_weights(
    config: ModelConfig, params: Any, *tokens: Sequence[int]
) -> dict[str, Float[np.ndarray, "heads query key"]]:
    """Returns the attention weights of every layer for one pair of sentences, or for one text of a language model.

    Args:
      config: the model's configuration, with or without scanned layers.
      params: its parameters, without logical axis names.
      *tokens: the token ids of the source including EOS, then those that the decoder reads including BOS. For a
        language model, the token ids of the text only.

    Returns:
      The weights by name: `encoder/layer_0/self_attention`, `decoder/layer_0/self_attention`,
      `decoder/layer_0/cross_attention`, ... A language model only has `decoder/layer_0/self_attention`, ..., and a
      recurrent decoder only has cross-attention. The weights of a query sum to 1.

    Raises:
      InputError: if a sequence is empty or has more tokens than the model has positions.
    """
    longest = config.longest_sequence
    for ids in tokens:
        if not len(ids) or (longest is not None and len(ids) > longest):
            limit = f" and at most {longest}" if longest is not None else ""
            raise InputError(f"text of {len(ids)} tokens: must have at least 1{limit}")
    inputs = [jnp.asarray(ids, jnp.int32)[None] for ids in tokens]
    stacks = _intermediates(config, params, *inputs)
    return {
        f"{stack}/layer_{i}/{name}": np.asarray(stacks[stack][f"layer_{i}"][name]["attention_weights"][0][0])
        for stack in ("encoder", "decoder")
        for i in range(len(stacks.get(stack, ())))
        for name in ("self_attention", "cross_attention")
        if name in stacks[stack][f"layer_{i}"]
    }


@functools.partial(jax.jit, static_argnums=0)
def _intermediates(config: ModelConfig, params: Any, *inputs: jax.Array) -> Any:
    _, state = build_model(config).apply({"params": params}, *inputs, mutable=["intermediates"])
    return unstack_layers(state["intermediates"])


class SentenceAttention(NamedTuple):
    """The attention weights of a translation model for a pair of sentences, with their tokens."""

    weights: dict[str, Float[np.ndarray, "heads query key"]]
    """The weights by name, from `attention_weights`."""
    source: list[str]
    """The tokens of the source, including EOS."""
    target_input: list[str]
    """The tokens that the decoder reads: BOS and the tokens of the target."""
    target_output: list[str]
    """The tokens that it predicts at the same positions: the tokens of the target and EOS."""


def sentence_attention(translator: Translator, source: str, target: str | None = None) -> SentenceAttention:
    """Returns the attention weights of a translation model for a sentence and its translation.

    Args:
      translator: the translator. The first model of an ensemble is used.
      source: the sentence.
      target: the translation. None: the translator's own.

    Raises:
      InputError: if the sentence is blank or too long for learned positions.
    """
    if not source.strip():
        raise InputError(f"sentence {source!r}: must not be blank")
    target = translator.translate([source])[0] if target is None else target
    tokenizer = translator.tokenizer
    read = tokenizer.source_sequence(tokenizer.encode(source))
    [*written, _] = tokenizer.target_sequence(*tokenizer.encode_targets([target]))
    weights = attention_weights(translator.model.config, translator.params, read, [tokenizer.bos_id, *written])
    names = zip(read, tokenizer.token_texts(read), strict=True)
    source_texts = ["end" if token == tokenizer.eos_id else text for token, text in names]
    target_texts = tokenizer.token_texts(written)
    return SentenceAttention(weights, source_texts, ["start", *target_texts], [*target_texts, "end"])


def plot_sentence_attention(
    translator: Translator,
    source: str,
    target: str | None = None,
    *,
    stack: Stack = "cross",
    layer: int | None = -1,
    head: int | None = None,
) -> "Figure":
    """Plots the attention weights of a translation model for a sentence and its translation.

    Args:
      translator, source, target: as for `sentence_attention`.
      stack: self-attention of the encoder, self-attention of the decoder, or cross-attention, in which rows are the
        predicted tokens.
      layer: the layer of the stack, from 0. -1: the last layer. None: all layers, in one grid.
      head: the head of the layer, from 0. None: all heads.

    Raises:
      InputError: like `sentence_attention`, or if the stack, layer or head does not exist.
    """
    config = translator.model.config
    if stack not in _NAMES:
        raise InputError(f"stack = {stack!r}: must be one of {', '.join(_NAMES)}")
    number = config.num_encoder_layers if stack == "encoder" else config.num_decoder_layers
    if stack == "decoder" and config.decoder_recurrence != "none":
        raise InputError("stack = 'decoder': this model has a recurrent unit instead of self-attention; use 'cross'")
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


def plot_text_attention(
    generator: Generator, text: str, *, layer: int | None = -1, head: int | None = None
) -> "Figure":
    """Plots the attention weights of a language model for a text.

    Args:
      generator: the generator.
      text: the text. A model that was trained on documents reads it as the beginning of one.
      layer: the layer, from 0. -1: the last layer. None: all layers, in one grid.
      head: the head of the layer, from 0. None: all heads.

    Raises:
      InputError: if the text is empty or longer than the model's context, or the layer or head does not exist.
    """
    config, tokenizer = generator.model.config, generator.tokenizer
    layer = _check(layer, config.num_layers, head, config.num_heads)
    tokens = tokenizer.encode(text)
    if not tokens:
        raise InputError(f"text {text!r}: must have at least one token")
    labels = tokenizer.token_texts(tokens)
    if generator.has_documents:
        tokens, labels = [tokenizer.bos_id, *tokens], ["start", *labels]
    weights = attention_weights(config, generator.params, tokens)
    maps = [weights[f"decoder/layer_{i}/self_attention"] for i in range(config.num_layers)]
    return _plot(maps, (labels, labels), layer, head, "Decoder", "self-attention")


def _check(layer: int | None, num_layers: int, head: int | None, num_heads: int) -> int | None:
    """Returns the index of the layer; raises InputError if the layer or head does not exist."""
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
