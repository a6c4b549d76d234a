"""The models of `accelerator.py` in plain PyTorch, with the parameters of tfmr's models.

Modules have the names of tfmr's parameters, so that `load` can copy them and both systems start from the same weights.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfmr.config import CausalLMConfig, TransformerConfig

_FUSED = {"query_key_value": ("query", "key", "value"), "key_value": ("key", "value")}
"""Projections that are one matrix here and several in tfmr."""


class Attention(nn.Module):
    """Multi-head attention through PyTorch's fused kernels."""

    def __init__(self, config: Any, bias: bool, of_memory: bool = False):
        super().__init__()
        width = config.num_heads * config.d_k
        self.num_heads = config.num_heads
        if of_memory:
            self.query = nn.Linear(config.d_model, width, bias)
            self.key_value = nn.Linear(config.d_model, 2 * width, bias)
        else:
            self.query_key_value = nn.Linear(config.d_model, 3 * width, bias)
        self.output = nn.Linear(width, config.d_model, bias)

    def forward(self, x: Tensor, memory: Tensor | None, mask: Tensor | None, dropout: float, causal: bool) -> Tensor:
        """Attends from x [rows, length, d_model] to the memory, or to x if there is none.

        A mask [rows, 1, queries, keys] is True where a query may attend to a key.
        """
        if memory is None:
            projected = self.query_key_value(x).chunk(3, dim=-1)
        else:
            projected = (self.query(x), *self.key_value(memory).chunk(2, dim=-1))
        heads = [each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for each in projected]
        found = F.scaled_dot_product_attention(*heads, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return self.output(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """The position-wise feed-forward network."""

    def __init__(self, config: Any, bias: bool):
        super().__init__()
        self.up, self.down = nn.Linear(config.d_model, config.d_ff, bias), nn.Linear(config.d_ff, config.d_model, bias)
        self.gelu = config.activation == "gelu"

    def forward(self, x: Tensor) -> Tensor:
        inner = self.up(x)
        return self.down(F.gelu(inner, approximate="tanh") if self.gelu else F.relu(inner))


class Layer(nn.Module):
    """An encoder or decoder layer, with the norm before or after each sub-layer."""

    def __init__(self, config: Any, *, attention_bias: bool, bias: bool, crossed: bool, causal: bool):
        super().__init__()
        norm = lambda: nn.LayerNorm(config.d_model, config.norm_epsilon, bias=bias)  # noqa: E731
        self.config, self.causal = config, causal
        self.self_attention, self.self_attention_norm = Attention(config, attention_bias), norm()
        if crossed:
            self.cross_attention, self.cross_attention_norm = Attention(config, attention_bias, of_memory=True), norm()
        self.feed_forward, self.feed_forward_norm = FeedForward(config, bias), norm()

    def forward(self, x: Tensor, mask: Tensor | None, memory: Tensor | None, cross_mask: Tensor | None) -> Tensor:
        rate = self.config.attention_dropout_rate if self.training else 0.0
        causal = self.causal and mask is None
        x = self._add(x, self.self_attention_norm, lambda x: self.self_attention(x, None, mask, rate, causal))
        if memory is not None:
            attend = lambda x: self.cross_attention(x, memory, cross_mask, rate, False)  # noqa: E731
            x = self._add(x, self.cross_attention_norm, attend)
        return self._add(x, self.feed_forward_norm, self.feed_forward)

    def _add(self, x: Tensor, norm: nn.Module, sublayer: Any) -> Tensor:
        drop = lambda y: F.dropout(y, self.config.dropout_rate, self.training)  # noqa: E731
        return x + drop(sublayer(norm(x))) if self.config.norm == "pre" else norm(x + drop(sublayer(x)))


class Stack(nn.Module):
    """N layers, and a last norm if the layers are pre-norm."""

    def __init__(self, config: Any, layers: int, **options: bool):
        super().__init__()
        self.names = [f"layer_{i}" for i in range(layers)]
        for name in self.names:
            self.add_module(name, Layer(config, **options))
        pre = config.norm == "pre"
        self.norm = nn.LayerNorm(config.d_model, config.norm_epsilon, bias=options["bias"]) if pre else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None, memory: Any = None, cross_mask: Any = None) -> Tensor:
        for name in self.names:
            x = getattr(self, name)(x, mask, memory, cross_mask)
        return self.norm(x)


class TranslationModel(nn.Module):
    """The encoder-decoder; `forward` returns the loss of a packed batch."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        bias = dict(attention_bias=config.attention_bias, bias=True)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, config.num_encoder_layers, **bias, crossed=False, causal=False)
        self.decoder = Stack(config, config.num_decoder_layers, **bias, crossed=True, causal=True)
        self.register_buffer("sinusoids", _sinusoids(config.max_length, config.d_model), persistent=False)

    def forward(self, batch: Mapping[str, Tensor], label_smoothing: float) -> Tensor:
        source, target = batch["source_segments"], batch["target_segments"]
        memory = self._embed(batch["source"], batch["source_positions"])
        memory = self.encoder(memory, _same(source, source))
        x = self._embed(batch["target_input"], batch["target_positions"])
        look_ahead = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool, device=x.device).tril()
        states = self.decoder(x, _same(target, target) & look_ahead, memory, _same(target, source))
        return _loss(states, self.embedding.weight, batch, label_smoothing)

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        x = self.embedding(tokens) * math.sqrt(self.config.d_model) + self.sinusoids[positions]
        return F.dropout(x.to(getattr(torch, self.config.dtype)), self.config.dropout_rate, self.training)


class LanguageModel(nn.Module):
    """GPT-2; `forward` returns the loss of rows without padding."""

    def __init__(self, config: CausalLMConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.max_length, config.d_model)
        options = dict(attention_bias=config.bias, bias=config.bias, crossed=False, causal=True)
        self.decoder = Stack(config, config.num_layers, **options)

    def forward(self, batch: Mapping[str, Tensor], label_smoothing: float) -> Tensor:
        x = self.embedding(batch["target_input"]) + self.positions(batch["target_positions"])
        x = F.dropout(x.to(getattr(torch, self.config.dtype)), self.config.dropout_rate, self.training)
        return _loss(self.decoder(x, None), self.embedding.weight, batch, label_smoothing)


def _same(queries: Tensor, keys: Tensor) -> Tensor:
    """Returns the block-diagonal mask. Padding may attend to everything, since rows without keys would give NaN."""
    allowed = (queries[:, :, None] == keys[:, None, :]) | (queries == 0)[:, :, None]
    return allowed[:, None]


def _loss(states: Tensor, table: Tensor, batch: Mapping[str, Tensor], label_smoothing: float) -> Tensor:
    logits = F.linear(states, table).flatten(0, 1).float()
    targets = torch.where(batch["target_segments"] != 0, batch["target_output"], -100).flatten()
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def _sinusoids(length: int, d_model: int) -> Tensor:
    angles = np.arange(length)[:, None] / 10_000.0 ** (np.arange(0, d_model, 2) / d_model)
    return torch.tensor(np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, d_model), dtype=torch.float32)


def load(model: nn.Module, params: Mapping[tuple[str, ...], np.ndarray]) -> None:
    """Copies tfmr's parameters, by path, into a model. Raises ValueError unless all of them have a place."""
    size = sum(x.numel() for x in model.parameters())
    if size != (expected := sum(x.size for x in params.values())):
        raise ValueError(f"the PyTorch model has {size} parameters, tfmr's {expected}")
    modules = dict(model.named_modules())
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            owner, kind = path.rsplit(".", 1)
            parameter.copy_(torch.tensor(_value(params, modules[owner], tuple(owner.split(".")), kind)))


def _value(params: Mapping[tuple[str, ...], np.ndarray], module: nn.Module, path: tuple[str, ...], kind: str) -> Any:
    if isinstance(module, nn.Embedding):
        return params[*path, "embedding"]
    if isinstance(module, nn.LayerNorm):
        return params[*path, "gamma" if kind == "weight" else "beta"]
    *parents, name = path
    if parents[-1] == "feed_forward":
        value = params[*path, "kernel" if kind == "weight" else "bias"]
        return value.T if kind == "weight" else value
    names = _FUSED.get(name, (name,))
    if kind == "bias":
        return np.concatenate([params[*parents, f"{each}_bias"].reshape(-1) for each in names])
    if name == "output":
        return params[*path].reshape(-1, params[*path].shape[-1]).T
    return np.concatenate([params[*parents, each].reshape(params[*parents, each].shape[0], -1).T for each in names])


def training_step(
    config: Any, training: Any, params: Mapping[tuple[str, ...], np.ndarray], device: str, *, compiled: bool
) -> Any:
    """Returns `step(batch) -> loss`, one update of a new model with these parameters on a device."""
    torch.set_float32_matmul_precision("high")
    model = (TranslationModel if isinstance(config, TransformerConfig) else LanguageModel)(config)
    load(model, params)
    model = model.to(device).train()
    forward = torch.compile(model, dynamic=False) if compiled else model  # all batches have the same shape
    betas = training.adam_b1, training.adam_b2
    adam = dict(lr=training.learning_rate, betas=betas, eps=training.adam_epsilon, weight_decay=training.weight_decay)
    optimizer = torch.optim.AdamW(model.parameters(), **adam, fused=True)
    narrow = dict(dtype=torch.bfloat16, enabled=config.dtype == "bfloat16")

    def step(batch: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(device, **narrow):
            loss = forward(batch, training.label_smoothing)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def on_device(batch: Mapping[str, np.ndarray], device: str) -> dict[str, Tensor]:
    """Returns a batch as int64 tensors on a device."""
    return {name: torch.tensor(x, dtype=torch.int64, device=device) for name, x in batch.items()}


def marian_generate(config: TransformerConfig, source: np.ndarray, length: int, device: str) -> Any:
    """Returns `decode(beam) -> token ids`, Hugging Face's Marian of this size with outputs of `length` tokens."""
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    both = dict(attention_heads=config.num_heads, ffn_dim=config.d_ff)
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in both.items()}
    layers = dict(encoder_layers=config.num_encoder_layers, decoder_layers=config.num_decoder_layers)
    special = dict(pad_token_id=0, eos_token_id=3, decoder_start_token_id=2)
    options = dict(activation_function=config.activation, scale_embedding=True, dropout=0.0, **special)
    marian = MarianConfig(vocab_size=config.vocab_size, d_model=config.d_model, **layers, **sizes, **options)
    model = MarianMTModel(marian).eval().to(device, getattr(torch, config.dtype))
    tokens = torch.tensor(source, dtype=torch.int64, device=device)

    def decode(beam: int) -> np.ndarray:
        exact = dict(max_new_tokens=length, min_new_tokens=length, do_sample=False, **special)
        with torch.inference_mode():
            ids = model.generate(tokens, generation_config=GenerationConfig(num_beams=beam, **exact))
        assert ids.shape == (len(source), length + 1), ids.shape
        return ids.cpu().numpy()

    return decode


def synchronize(device: str) -> None:
    """Waits until the device has done all its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes(device: str, *, reset: bool = False) -> int | None:
    """Returns the largest memory of PyTorch's tensors since the last reset, if the device counts it."""
    if device != "cuda":
        return None
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated()
