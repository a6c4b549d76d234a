"""Encoder and decoder: N layers one after the other (section 3.1).

The layers are a plain loop, each with its own parameters (`layer_0`, `layer_1`, ...),
or one layer scanned over stacked parameters (`layers`), which compiles in the time of
one layer. `stack_layers` and `unstack_layers` turn the parameters of one into the other's.
"""

import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.nn.attention import KeyValueCache
from tfmr.nn.layer_norm import LayerNorm
from tfmr.nn.layers import DecoderLayerCache

ACTIVATION_AXES = ("batch", "length", "activation_embed")


class Stack(nn.Module):
    """What the two stacks have in common.

    Attributes:
      make_layer: returns a layer, given its name; `functools.partial(EncoderLayer, num_heads=8, ...)` for example.
      num_layers: N.
      final_norm: a LayerNorm after the last layer, as pre-norm layers need.
      scan: scan over stacked parameters instead of looping over layers.
      remat: recompute each layer in the backward pass.
    """

    make_layer: Callable[..., Any]
    num_layers: int
    final_norm: bool = False
    scan: bool = False
    remat: bool = False

    def setup(self):
        if self.scan:
            self.layers = self.make_layer(name="layers")
        else:
            self.layer = [self.make_layer() for _ in range(self.num_layers)]
        if self.final_norm:
            template = self.layers if self.scan else self.layer[0]
            self.norm = LayerNorm(template.norm_epsilon, template.dtype, template.norm_bias)

    def _run(self, x: Array, *context: Array | None, deterministic: bool) -> Array:
        """Sends x through all layers; `context` are the layers' other arguments, the same for each."""

        def run_layer(layer: nn.Module, x: Array, *context: Array | None) -> Array:
            x = layer(x, *context, deterministic=deterministic)
            return nn.with_logical_constraint(x, ACTIVATION_AXES) if x.ndim == 3 else x

        if self.remat:
            run_layer = nn.remat(run_layer, prevent_cse=not self.scan)
        if self.scan:
            scanned: Any = nn.scan(
                lambda layer, x, *context: (run_layer(layer, x, *context), None),
                variable_axes={"params": 0, "intermediates": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
                length=self.num_layers,
                metadata_params={nn.PARTITION_NAME: "layers"},
            )
            x, _ = scanned(self.layers, x, *context)
        else:
            for layer in self.layer:
                x = run_layer(layer, x, *context)
        return self.norm(x) if self.final_norm else x


class Encoder(Stack):
    """N encoder layers; under a look-ahead mask they are a decoder without an encoder, and can go step by step."""

    def __call__(
        self,
        x: Float[Array, "*batch length d_model"],
        mask: Bool[Array, "*#batch #heads #length #length"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "*batch length d_model"]:
        """Returns the last layer's output. `make_layer` makes each `EncoderLayer`."""
        return self._run(x, mask, deterministic=deterministic)

    def start_cache(self, batch: tuple[int, ...], length: int) -> tuple[KeyValueCache, ...]:
        """Returns each layer's cache for `length` places.

        Raises:
          ValueError: with scan; decode with a loop and `unstack_layers` of the parameters.
        """
        _refuse_scan(self.scan)
        return tuple(layer.start_cache(batch, length) for layer in self.layer)

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        caches: tuple[KeyValueCache, ...],
        place: Int[Array, ""],
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], tuple[KeyValueCache, ...]]:
        """Returns the output at new places and the layers' caches that now hold them; see `EncoderLayer.step`."""
        written = []
        for layer, cache in zip(self.layer, caches, strict=True):
            x, cache = layer.step(x, cache, place, mask)
            written.append(cache)
        return (self.norm(x) if self.final_norm else x), tuple(written)


class Decoder(Stack):
    """N decoder layers."""

    def __call__(
        self,
        x: Float[Array, "*batch target d_model"],
        memory: Float[Array, "*batch source d_model"],
        self_mask: Bool[Array, "*#batch #heads #target #target"] | None = None,
        cross_mask: Bool[Array, "*#batch #heads #target #source"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "*batch target d_model"]:
        """Returns the last layer's output. `make_layer` makes each `DecoderLayer`."""
        return self._run(x, memory, self_mask, cross_mask, deterministic=deterministic)

    def start_cache(self, memory: Float[Array, "*batch source d_model"], length: int) -> tuple[DecoderLayerCache, ...]:
        """Returns each layer's cache for targets of up to `length` places.

        Raises:
          ValueError: with scan; decode with a loop and `unstack_layers` of the parameters.
        """
        _refuse_scan(self.scan)
        return tuple(layer.start_cache(memory, length) for layer in self.layer)

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        caches: tuple[DecoderLayerCache, ...],
        place: Int[Array, ""],
        cross_mask: Bool[Array, "*#batch #heads #new #source"] | None = None,
        self_mask: Bool[Array, "*#batch #heads new length"] | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], tuple[DecoderLayerCache, ...]]:
        """Returns the output at one new place and the layers' caches that now hold it."""
        written = []
        for layer, cache in zip(self.layer, caches, strict=True):
            x, cache = layer.step(x, cache, place, cross_mask, self_mask)
            written.append(cache)
        return (self.norm(x) if self.final_norm else x), tuple(written)


def _refuse_scan(scan: bool) -> None:
    if scan:
        raise ValueError("scan=True cannot decode step by step: use scan=False and unstack_layers(params)")


def stack_layers(params: Any) -> Any:
    """Turns `layer_0`, `layer_1`, ... anywhere in a tree of arrays into `layers` with a leading axis."""
    if not isinstance(params, dict):
        return params
    names = sorted((name for name in params if re.fullmatch(r"layer_\d+", name)), key=lambda name: int(name[6:]))
    rest = {name: stack_layers(value) for name, value in params.items() if name not in names}
    if not names:
        return rest
    return {"layers": jax.tree.map(lambda *x: jnp.stack(x), *(params[name] for name in names)), **rest}


def unstack_layers(params: Any) -> Any:
    """Turns `layers` with a leading axis anywhere in a tree of arrays into `layer_0`, `layer_1`, ..."""
    if not isinstance(params, dict):
        return params
    rest = {name: unstack_layers(value) for name, value in params.items() if name != "layers"}
    if "layers" not in params:
        return rest
    stacked = params["layers"]
    count = jax.tree.leaves(stacked)[0].shape[0]
    return {**{f"layer_{i}": jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(count)}, **rest}
