"""Encoder and decoder: stacks of N layers (section 3.1).

By default the layers run in a Python loop, each with its own parameters (`layer_0`, `layer_1`, ...). With `scan` a
single layer is scanned over stacked parameters (`layers`), which takes no longer to compile than one layer.
`stack_layers` and `unstack_layers` convert the parameters from one form to the other.
"""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from tfmr.nn.attention import KeyValueCache
from tfmr.nn.layers import DecoderLayer, DecoderLayerCache, EncoderLayer, LayerConfig, make_norm
from tfmr.nn.masks import Segments
from tfmr.nn.platform import KEPT_BY_KERNELS, platform
from tfmr.nn.relative_positions import Places

ACTIVATION_AXES = ("batch", "length", "activation_embed")

# XLA recomputes what is cheap in the backward pass of a loop over layers, but keeps everything that a scan computes.
_KEPT_IN_A_SCAN = jax.checkpoint_policies.save_from_both_policies(
    jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.save_only_these_names(KEPT_BY_KERNELS)
)


class Stack(nn.Module):
    """The base class of the two stacks. Override `make_layer` to stack layers of another class.

    Attributes:
      config: the shape and options of every layer.
      num_layers: number of layers, N.
      final_norm: apply a norm after the last layer, as pre-norm layers need.
      scan: scan over stacked parameters instead of looping over layers.
      remat: recompute each layer in the backward pass.
    """

    config: LayerConfig
    num_layers: int
    final_norm: bool = False
    scan: bool = False
    remat: bool = False

    def setup(self):
        if self.scan:
            self.layers = self.make_layer("layers")
        else:
            self.layer = [self.make_layer() for _ in range(self.num_layers)]
        if self.final_norm:
            self.norm = make_norm(self.config)

    def make_layer(self, name: str | None = None) -> Any:
        """Returns a new layer."""
        raise NotImplementedError

    def _run(self, x: Array, *, deterministic: bool, **context: Array | Segments | Places | None) -> Array:
        """Applies all layers to x; `context` contains the layers' other arguments, by name. None is left out."""
        given: dict[str, Array | Segments | Places] = {
            name: value for name, value in context.items() if value is not None
        }

        def run_layer(layer: Any, x: Array, context: dict[str, Array | Segments | Places]) -> Array:
            x = layer(x, **context, deterministic=deterministic)
            return nn.with_logical_constraint(x, ACTIVATION_AXES) if x.ndim == 3 else x

        x = x.astype(self.config.dtype)  # the type of every layer's output, as a scan requires
        if self.remat:
            run_layer = nn.remat(run_layer, prevent_cse=not self.scan)
        elif self.scan and platform() != "cpu":
            run_layer = nn.remat(run_layer, prevent_cse=False, policy=_KEPT_IN_A_SCAN)
        if self.scan:
            scanned: Any = nn.scan(
                lambda layer, x, context: (run_layer(layer, x, context), None),
                variable_axes={"params": 0, "intermediates": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=nn.broadcast,  # pyright: ignore[reportArgumentType]
                length=self.num_layers,
                metadata_params={nn.PARTITION_NAME: "layers"},
            )
            x, _ = scanned(self.layers, x, given)
        else:
            for layer in self.layer:
                x = run_layer(layer, x, given)
        return self.norm(x) if self.final_norm else x

    def _step(self, x: Array, caches: tuple, index: Array, **masks: Array | Places | None) -> tuple[Array, tuple]:
        written = []
        for layer, cache in zip(self._looped(), caches, strict=True):
            x, cache = layer.step(x, cache, index, **masks)
            written.append(cache)
        return (self.norm(x) if self.final_norm else x), tuple(written)

    def _looped(self) -> Any:
        if self.scan:
            raise ValueError("scan=True cannot decode step by step: use scan=False and unstack_layers(params)")
        return self.layer


class Encoder(Stack):
    """N encoder layers. With `causal` they are a decoder without cross-attention, and can decode step by step.

    Attributes:
      causal: no position attends to a later one.
    """

    causal: bool = False

    def make_layer(self, name: str | None = None) -> Any:
        """Returns a new `EncoderLayer`."""
        return EncoderLayer(self.config, self.causal, name=name)

    def __call__(
        self,
        x: Float[Array, "*batch length d_model"],
        *,
        mask: Bool[Array, "*#batch #heads #length #length"] | Segments | None = None,
        bias: Float[Array, "*#batch #heads #length #length"] | Places | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*batch length d_model"]:
        """Returns the last layer's output. All layers get the same mask and bias."""
        return self._run(x, mask=mask, bias=bias, deterministic=deterministic)

    def start_cache(self, batch: tuple[int, ...], length: int) -> tuple[KeyValueCache, ...]:
        """Returns an empty cache of `length` slots for each layer.

        Raises:
          ValueError: with scan; use a loop and `unstack_layers(params)`.
        """
        return tuple(layer.start_cache(batch, length) for layer in self._looped())

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        caches: tuple[KeyValueCache, ...],
        index: Int[Array, ""] | Int[Array, "*batch"],
        *,
        mask: Bool[Array, "*#batch #heads new length"] | None = None,
        bias: Float[Array, "*#batch #heads #new length"] | Places | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], tuple[KeyValueCache, ...]]:
        """Returns the output for new tokens, and the caches with these written; see `EncoderLayer.step`."""
        return self._step(x, caches, index, mask=mask, bias=bias)


class Decoder(Stack):
    """N decoder layers."""

    def make_layer(self, name: str | None = None) -> Any:
        """Returns a new `DecoderLayer`."""
        return DecoderLayer(self.config, name=name)

    def __call__(
        self,
        x: Float[Array, "*batch target d_model"],
        memory: Float[Array, "*batch source d_model"],
        *,
        self_mask: Bool[Array, "*#batch #heads #target #target"] | Segments | None = None,
        cross_mask: Bool[Array, "*#batch #heads #target #source"] | Segments | None = None,
        self_bias: Float[Array, "*#batch #heads #target #target"] | Places | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "*batch target d_model"]:
        """Returns the last layer's output. All layers get the same masks and bias."""
        masks: dict[str, Array | Segments | Places | None] = dict(
            self_mask=self_mask, cross_mask=cross_mask, self_bias=self_bias
        )
        return self._run(x, memory=memory, **masks, deterministic=deterministic)

    def start_cache(self, memory: Float[Array, "*batch source d_model"], length: int) -> tuple[DecoderLayerCache, ...]:
        """Returns the cache of an empty target for each layer, with `length` slots.

        Raises:
          ValueError: with scan; use a loop and `unstack_layers(params)`.
        """
        return tuple(layer.start_cache(memory, length) for layer in self._looped())

    def step(
        self,
        x: Float[Array, "*batch new d_model"],
        caches: tuple[DecoderLayerCache, ...],
        index: Int[Array, ""] | Int[Array, "*batch"],
        *,
        self_mask: Bool[Array, "*#batch #heads new length"] | None = None,
        cross_mask: Bool[Array, "*#batch #heads #new #source"] | None = None,
        self_bias: Float[Array, "*#batch #heads #new length"] | Places | None = None,
    ) -> tuple[Float[Array, "*batch new d_model"], tuple[DecoderLayerCache, ...]]:
        """Returns the output for new tokens, and the caches with these written; see `DecoderLayer.step`."""
        return self._step(x, caches, index, self_mask=self_mask, cross_mask=cross_mask, self_bias=self_bias)


def stack_layers(params: Any) -> Any:
    """Converts `layer_0`, `layer_1`, ..., anywhere in a tree of arrays, to `layers` with a leading axis."""
    if not isinstance(params, dict):
        return params
    names = sorted((name for name in params if re.fullmatch(r"layer_\d+", name)), key=lambda name: int(name[6:]))
    rest = {name: stack_layers(value) for name, value in params.items() if name not in names}
    if not names:
        return rest
    return {"layers": jax.tree.map(lambda *x: jnp.stack(x), *(params[name] for name in names)), **rest}


def unstack_layers(params: Any) -> Any:
    """Converts `layers` with a leading axis, anywhere in a tree of arrays, to `layer_0`, `layer_1`, ..."""
    if not isinstance(params, dict):
        return params
    rest = {name: unstack_layers(value) for name, value in params.items() if name != "layers"}
    if "layers" not in params:
        return rest
    stacked = params["layers"]
    count = jax.tree.leaves(stacked)[0].shape[0]
    return {**{f"layer_{i}": jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(count)}, **rest}
