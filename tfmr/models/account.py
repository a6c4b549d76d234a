"""Where a model's parameters are, and what the model costs to train and to run.

Parameters are counted from the shapes that the model is initialised with. Operations and cache sizes come from the
account that each kind of model registers. A matrix product of [m, k] and [k, n] takes 2 m k n floating-point
operations.
"""

import dataclasses
import functools
import math
import re
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from tfmr.config import FineTuningConfig, ModelConfig
from tfmr.models.model import Model, abstract_params, account_of, build_model
from tfmr.models.trainable import learning_and_frozen
from tfmr.nn.dot_product_attention import causal_scores

_ORDER = "embedding source_embedding output_embedding output_bias positions encoder decoder self_attention "
_ORDER += "recurrence cross_attention query key value output input forget feed_forward up gate down norms"
_USES = {"source_embedding": "embedding", "output_embedding": "unembedding"}
_USES |= {"up": "up projection", "down": "down projection", "input": "recurrence", "forget": "recurrence"}
_ATTENTION = ("query", "key", "value", "output")


def parameter_table(config: ModelConfig) -> dict[str, int]:
    """Returns the number of parameters of each part, with biases counted in the part of their matrices.

    All layers of a stack are summed: `encoder/self_attention/query` is the query projections of all encoder layers.
    """
    table: dict[str, int] = {}
    for parameter in _parameters(config):
        table[parameter.part] = table.get(parameter.part, 0) + parameter.size
    return table


def parameter_count(config: ModelConfig) -> int:
    """Returns the number of parameters: 63.05 million for base and 214.2 for big, with a vocabulary of 37 000."""
    return sum(parameter_table(config).values())


def weight_breakdown(config: ModelConfig) -> dict[str, int]:
    """Returns the sizes of the matrices by their use, over all layers.

    It counts as breakdowns of GPT-3 usually do: only matrices, without biases, norms and positions. A tied output
    embedding is counted again as the unembedding.
    """
    table: dict[str, int] = {}
    for parameter in _parameters(config):
        part = parameter.part.split("/")[-1]
        if not parameter.is_vector and part not in ("positions", "norms"):
            use = _USES.get(part, part)
            table[use] = table.get(use, 0) + parameter.size
    if getattr(config, "tie_embeddings", False):
        table.setdefault("unembedding", config.vocab_size * config.d_model)
    if "unembedding" in table:
        table["unembedding"] = table.pop("unembedding")  # the last one
    return table


def attention_share(config: ModelConfig) -> float:
    """Returns the share of the attention projections in `weight_breakdown`: a third for GPT-3."""
    table = weight_breakdown(config)
    return sum(table.get(name, 0) for name in _ATTENTION) / sum(table.values())


def forward_flops(config: ModelConfig, source_length: int, target_length: int) -> dict[str, int]:
    """Returns the floating-point operations of the matrix products in a forward pass, by part.

    The pass is over a pair of sentences with n source and m target tokens. A language model has no source, and its text
    is the target.

    - projections: 2 operations for each weight and token. Keys and values of cross-attention are computed from the
      source, its queries and outputs from the target.
    - attention: 2 h (d_k + d_v) for each score, its part of the weighted sum included. There are n^2 scores in the
      encoder's self-attention and m n in cross-attention. Causal self-attention has m^2 below 128 positions, of which
      the mask excludes almost half after they are computed; from 256 positions on, only 5/8 of m^2 are computed
      (`tfmr.nn.dot_product_attention.causal_scores`).
    - recurrence, if the decoder has a recurrent unit in place of self-attention: 4 m d_model^2.
    - feed_forward: 4 n d_model d_ff; with a gate 6 n d_model d_ff.
    - logits: 2 m d_model V.

    Softmax, norms, biases, dropout and residual sums are not counted: they grow with d_model, not with its square.

    Raises:
      InputError: if the kind of model has no account.
    """
    return account_of(config).forward_flops(config, source_length, target_length)


def training_flops_per_token(config: ModelConfig, source_length: int = 32, target_length: int = 32) -> float:
    """Returns the floating-point operations of training on one target token and its share of the source.

    This is three times the forward pass: each matrix product has two of the same size in the backward pass. Layers that
    are recomputed (`remat`) are counted once: these are the operations that the model needs, not those that are spent.
    """
    return 3 * sum(forward_flops(config, source_length, target_length).values()) / target_length


def cache_bytes(config: ModelConfig, length: int) -> int:
    """Returns the size in bytes of the keys and values of one text of `length` tokens.

    For an encoder-decoder these are the keys and values of a target and of a source, both of this length. The states of
    a recurrent unit take the place of a target's keys and values.

    Raises:
      InputError: if the kind of model has no account.
    """
    return account_of(config).cache_bytes(config, length)


def training_bytes(
    config: ModelConfig,
    *,
    moving_average: bool,
    fine_tuning: FineTuningConfig = FineTuningConfig(),  # noqa: B008 - never changed
) -> int:
    """Returns the size in bytes of parameters, gradients and Adam's two moments, all in float32; no activations.

    Parameters that do not learn have neither gradients nor moments. With `moving_average` the moving average of those
    that learn is included.
    """
    learning, frozen = learning_and_frozen(build_model(config), fine_tuning)
    return 4 * ((4 + moving_average) * learning + frozen)


def projection_sizes(config: Any) -> dict[str, int]:
    """Returns the sizes of the four matrices of an attention block, without biases."""
    keys = config.d_model * config.num_heads * config.d_k
    values = config.d_model * config.num_heads * config.d_v
    return {"query": keys, "key": keys, "value": values, "output": values}


def flops_per_score(config: Any) -> int:
    """Returns the operations of one attention score in all heads of a layer, its part of the weighted sum included."""
    return 2 * config.num_heads * (config.d_k + config.d_v)


def causal_attention_flops(config: Any, length: int) -> int:
    """Returns the operations of the scores and weighted sums of one layer of causal self-attention."""
    return causal_scores(length) * flops_per_score(config)


class _Parameter(NamedTuple):
    part: str
    size: int
    is_vector: bool


def _parameters(config: ModelConfig) -> list[_Parameter]:
    if hasattr(config, "scan_layers"):
        # Scanned layers have the same parameters, and only one of them is traced.
        config = dataclasses.replace(config, scan_layers=True)  # pyright: ignore
    return _parameters_of(build_model(config))


@functools.lru_cache
def _parameters_of(model: Model) -> list[_Parameter]:
    """Returns every parameter of a model."""
    shapes: dict[tuple[str, ...], Any] = flatten_dict(abstract_params(model))
    found = []
    for path, leaf in shapes.items():
        *parents, name = path
        names = [parent for parent in parents if not re.fullmatch(r"layers|layer_\d+", parent)]
        owner = name.removesuffix("_bias")
        if name in ("gamma", "beta"):
            names = [*names[:-1], "norms"]
        elif owner != name and (*parents, owner) in shapes:
            names.append(owner)
        elif name not in ("kernel", "bias", "embedding"):
            names.append(name)
        if names[-1].endswith("positions"):
            names = ["positions"]
        found.append(_Parameter("/".join(names), math.prod(leaf.shape), name.endswith(("bias", "gamma", "beta"))))
    order = _ORDER.split()

    def rank(parameter: _Parameter) -> list[int]:
        return [order.index(name) if name in order else len(order) for name in parameter.part.split("/")]

    return sorted(found, key=rank)
