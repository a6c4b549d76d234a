"""A translation as the page shows it: alternatives, what could come next at each place, and all attention weights."""

import base64
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from tfmr.config import SamplingConfig
from tfmr.data.tokenizer import OURS
from tfmr.errors import InputError
from tfmr.models import Transformer
from tfmr.serving.explore.tokens import Candidate, Token, candidates_of, tokens_of
from tfmr.translation import Translator
from tfmr.translation.padded_batches import Rows
from tfmr.translation.pairs import Pair, PairArrays, run_on_pairs

CANDIDATES = 12
"""The number of tokens that are shown for each place."""
MOST_TOKENS = 256
"""Longer lines are not explored."""
MOST_DRAWN = 96
"""Attention between more tokens than this is not sent: nobody could read it."""


class Maps(TypedDict):
    """The attention weights of a stack."""

    layers: int
    heads: int
    queries: int
    keys: int
    weights: str
    """Base64 of an unsigned byte for each weight, in units of 1/255, of shape [layers, heads, queries, keys]."""


class Alternative(TypedDict):
    """A translation that the search found."""

    text: str
    score: float
    tokens: list[int]


class Place(Candidate):
    """A token of the translation, and what could have been there."""

    candidates: list[Candidate]
    """The most probable tokens, most probable first."""


class Exploration(TypedDict):
    """A translation of a line and how the model came to it."""

    source: list[Token]
    text: str
    places: list[Place]
    """The tokens of the translation, including the end."""
    given: int
    """The number of first tokens that are not the model's choice: a language, and the imposed prefix."""
    fixed: int
    """The number of first tokens that cannot be replaced: the language."""
    alternatives: list[Alternative]
    attention: dict[str, Maps] | None
    """The weights by stack: encoder, decoder (unless it is recurrent) and cross. None: too many tokens."""


def explore_translation(translator: Translator, line: str, prefix: Sequence[int] = ()) -> Exploration:
    """Returns the translation of a line, with its alternatives, candidates and attention.

    The first model of an ensemble shows its probabilities and its attention.

    Args:
      translator: the translator, which searches with its own beam, even if its config asks for samples.
      line: the source.
      prefix: token ids that the translation must begin with, as in `places`, so with those of tags. If the last one is
        the end, they are the translation.

    Raises:
      InputError: if the line is blank or too long, or the prefix is impossible.
    """
    translator = searching(translator)
    tokenizer = translator.tokenizer
    source = encode_line(translator, line)
    tags = tokenizer.tags.target_ids
    if len(prefix) > (most := MOST_TOKENS + translator.config.extra_length):
        raise InputError(f"prefix of {len(prefix)} tokens: must have at most {most}")
    imposed = list(prefix[len(tags) :])
    if imposed and imposed[-1] == tokenizer.eos_id:
        alternatives = [_given(translator, source, list(prefix))]
    else:
        alternatives = _alternatives(translator, line, imposed)
    if not alternatives:
        raise InputError("line 1: no output satisfies all decoding constraints; remove some of them")
    target = alternatives[0]["tokens"]
    seen = _look_at(translator, source, target)
    drawn = max(len(source), len(target)) <= MOST_DRAWN
    return {
        "source": tokens_of(tokenizer, source),
        "text": alternatives[0]["text"],
        "places": _places(translator, target, seen),
        "given": len(tags) + len(imposed),
        "fixed": len(tags),
        "alternatives": alternatives,
        "attention": _maps(seen.weights, len(source), len(target)) if drawn else None,
    }


def searching(translator: Translator, **changes: Any) -> Translator:
    """Returns a translator that searches with a beam and with other settings of `DecodingConfig`."""
    return translator.with_config(dataclasses.replace(translator.config, sampling=SamplingConfig(), **changes))


def encode_line(translator: Translator, line: str) -> list[int]:
    """Returns what the model reads for a line; raises InputError if it is blank or too long."""
    [length] = translator.source_lengths([line.strip()])
    if length == 0:
        raise InputError(f"line {line[:20]!r}: must not be blank")
    if length > MOST_TOKENS:
        raise InputError(f"line of {length} tokens: must have at most {MOST_TOKENS} to be explored; split it")
    return translator.tokenizer.source_sequence(translator.tokenizer.encode(line.strip()))


def _alternatives(translator: Translator, line: str, imposed: list[int]) -> list[Alternative]:
    """Returns the outputs of a beam search, each text once, best first."""
    [found] = translator.n_best([line.strip()], translator.config.beam_size, [imposed])
    return [{"text": each.text, "score": each.score, "tokens": list(each.tokens)} for each in found]


def _given(translator: Translator, source: list[int], target: list[int]) -> Alternative:
    [score] = translator.score([source], [target])
    if math.isnan(score.score):
        raise InputError(f"prefix of {len(target)} tokens: is longer than what the model writes; shorten it")
    [text] = translator.tokenizer.target_texts([target])
    return {"text": text, "score": score.score, "tokens": target}


def compile_exploring(translator: Translator) -> None:
    """Compiles the programs that short lines need."""
    searching(translator).compile(1, 1, translator.config.beam_size)
    end = [translator.tokenizer.eos_id]
    _look_at(translator, end, end)


class _Seen(NamedTuple):
    """What a forward pass shows, of one pair or of the rows of a batch."""

    weights: dict[str, Float[Array, "*rows layers heads query key"]]
    log_probs: Float[Array, "*rows width"]
    """Of the tokens of the target."""
    best: Float[Array, "*rows width candidates"]
    best_tokens: Int[Array, "*rows width candidates"]


def _look_at(translator: Translator, source: list[int], target: list[int]) -> _Seen:
    """Returns what one forward pass shows of a pair, padded to one of few widths."""
    run = functools.partial(_look, translator.params, model=translator.model, known=translator.tokenizer.vocab_size)
    [(_, seen)] = run_on_pairs(run, {0: Pair(source, target)}, 1, None, Rows())
    return seen


@functools.partial(jax.jit, static_argnames=("model", "known"))
def _look(params: dict, pairs: PairArrays, *, model: Transformer, known: int) -> _Seen:
    """Runs the model on pairs; `known` is the size of the tokenizer's vocabulary; the model's may be larger."""
    apply: Any = model.apply
    (states, table), sown = apply(
        {"params": params},
        pairs.source,
        pairs.target_input,
        source_segments=pairs.source_segments,
        target_segments=pairs.target_segments,
        method="states_and_output_table",
        mutable=["intermediates"],
    )
    logits = jnp.einsum("rwd,vd->rwv", states, table.astype(states.dtype), preferred_element_type=jnp.float32)
    log_probs = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(log_probs, pairs.target_output[..., None], axis=-1)[..., 0]
    numbers = jnp.arange(logits.shape[-1])
    written = (numbers < known) & ~jnp.isin(numbers, jnp.array(OURS.unwritten))
    best, tokens = lax.top_k(jnp.where(written, log_probs, -jnp.inf), min(CANDIDATES, known - len(OURS.unwritten)))
    return _Seen(_stacked(sown["intermediates"]), own, best, tokens)


def _stacked(sown: dict) -> dict[str, Float[Array, "rows layers heads _ _"]]:
    """Returns the attention weights of each stack that has some."""
    places = {
        "encoder": ("encoder", "self_attention"),
        "decoder": ("decoder", "self_attention"),
        "cross": ("decoder", "cross_attention"),
    }
    return {
        name: jnp.stack([layers[f"layer_{i}"][part]["attention_weights"][0] for i in range(len(layers))], axis=1)
        for name, (stack, part) in places.items()
        if part in (layers := sown[stack])["layer_0"]
    }


def _places(translator: Translator, target: list[int], seen: _Seen) -> list[Place]:
    tokenizer = translator.tokenizer
    chosen = candidates_of(tokenizer, target, seen.log_probs[: len(target)].tolist())
    best, ids = seen.best.tolist(), seen.best_tokens.tolist()
    return [
        {**token, "candidates": candidates_of(tokenizer, ids[position], best[position])}
        for position, token in enumerate(chosen)
    ]


def _maps(weights: dict[str, Any], source: int, target: int) -> dict[str, Maps]:
    sizes = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    return {name: _map(array[..., : sizes[name][0], : sizes[name][1]]) for name, array in weights.items()}


def _map(weights: Float[np.ndarray, "layers heads query key"]) -> Maps:
    layers, heads, queries, keys = weights.shape
    values = np.round(np.clip(weights, 0.0, 1.0) * 255).astype(np.uint8)
    encoded = base64.b64encode(values.tobytes()).decode()
    return {"layers": layers, "heads": heads, "queries": queries, "keys": keys, "weights": encoded}
