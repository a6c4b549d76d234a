"""The paper's formulas in float64 NumPy, one loop at a time, to compare the blocks with.

Parameters are the nested dictionaries that the modules create. Formulas and masks follow the paper, not the modules.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tfmr.training.sharding import LOGICAL_AXIS_RULES


def relative_error(found, expected) -> float:
    """Returns |found - expected| / |expected|, over all entries at once."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def random_parameters(module: nn.Module, *inputs, seed: int = 0, **arguments):
    """Returns a value for every parameter of a module, none of them a special value such as 0 or 1."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x, **arguments), *inputs)["params"]

    def draw(path, leaf):
        name, shape = path[-1].key, leaf.shape
        inputs = {"output": np.prod(shape[:-1]), "embedding": shape[-1], "bias": 25, "beta": 25, "gamma": 25}
        scale = inputs.get("bias" if name.endswith("bias") else name, shape[0]) ** -0.5
        offset = 1.0 if name == "gamma" else 0.0
        return jnp.asarray(np.float32(offset) + np.float32(scale) * rng.standard_normal(leaf.shape, np.float32))

    return jax.tree_util.tree_map_with_path(draw, shapes)


def boxed_parameters(module: nn.Module, *inputs):
    """Returns a module's initial parameters, boxed with the logical names of their axes."""
    with nn.logical_axis_rules(LOGICAL_AXIS_RULES):
        return module.init(jax.random.key(0), *inputs)["params"]


def double(tree):
    """Returns the tree with float64 arrays."""
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def attention(query, key, value, mask=None, bias=None, scale=None):
    """Equation 1 for one head: query [t k], key [s k], value [s v], mask [t s] -> outputs [t v], weights [t s].

    A bias [t s] is added to the scores; a scale takes the place of 1 / sqrt(d_k).
    """
    weights = np.zeros((len(query), len(key)))
    for t in range(len(query)):
        scores = np.array([query[t] @ key[s] * (scale or 1 / np.sqrt(len(key[s]))) for s in range(len(key))])
        if bias is not None:
            scores = scores + bias[t]
        if mask is not None:
            scores[~mask[t]] = -np.inf
        weights[t] = softmax(scores)
    return weights @ value, weights


def multi_head_attention(params, query_input, key_value_input, mask=None, bias=None, scale=None):
    """Section 3.2.2 for one sentence: Concat(head_1, ..., head_h) W^O, and the weights [h t s].

    Biases of the projections are added if there are any, and a bias of the scores [h t s].
    """

    def project(x, name, h):
        return x @ params[name][:, h] + (params[f"{name}_bias"][h] if f"{name}_bias" in params else 0)

    heads, weights = [], []
    for h in range(params["query"].shape[1]):
        query, key = project(query_input, "query", h), project(key_value_input, "key", h)
        value = project(key_value_input, "value", h)
        head, head_weights = attention(query, key, value, mask, None if bias is None else bias[h], scale)
        heads.append(head)
        weights.append(head_weights)
    output = np.concatenate(list(params["output"]), axis=0)
    return np.concatenate(heads, axis=-1) @ output + params.get("output_bias", 0), np.stack(weights)


ACTIVATIONS = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "gelu_exact": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


def feed_forward(params, x, activation="relu"):
    """Equation 2, with any activation, with the biases and the gate if there are any."""
    inner = x @ params["up"]["kernel"] + params["up"].get("bias", 0)
    if "gate" in params:
        inner = ACTIVATIONS[activation](x @ params["gate"]["kernel"] + params["gate"].get("bias", 0)) * inner
    else:
        inner = ACTIVATIONS[activation](inner)
    return inner @ params["down"]["kernel"] + params["down"].get("bias", 0)


def ssru(params, x, continues=None):
    """Kim et al. (2019) for one sequence, one position at a time: x [t d] -> outputs [t d].

    `continues` [t] is False where a new sequence starts, and True at the first position has no effect.
    """
    state, outputs = np.zeros(x.shape[1]), []
    for t in range(len(x)):
        if continues is not None and not continues[t]:
            state = np.zeros(x.shape[1])
        forget = 1 / (1 + np.exp(-(x[t] @ params["forget"] + params["forget_bias"])))
        state = forget * state + (1 - forget) * (x[t] @ params["input"])
        outputs.append(np.where(state > 0, state, 0))
    return np.stack(outputs)


def layer_norm(params, x, epsilon=1e-6):
    """Ba, Kiros and Hinton, equation 4, with the beta if there is one."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * params["gamma"] + params.get("beta", 0)


def rms_norm(params, x, epsilon=1e-6):
    """Zhang and Sennrich, equation 4, without a bias."""
    return np.stack([row / np.sqrt(np.sum(row**2) / len(row) + epsilon) * params["gamma"] for row in x])


def relative_bias(table, queries, keys, max_distance, bidirectional):
    """T5's bias of each pair of positions, pair by pair: table [buckets h], positions -> [h t s]."""
    bias = np.zeros((table.shape[1], len(queries), len(keys)))
    for t, query in enumerate(queries):
        for s, key in enumerate(keys):
            buckets, first, distance = len(table), 0, query - key
            if bidirectional:
                buckets //= 2
                first, distance = (buckets if distance < 0 else 0), abs(distance)
            distance, exact = max(distance, 0), buckets // 2
            bucket = distance
            if distance >= exact:
                fraction = np.log(distance / exact) / np.log(max_distance / exact)
                bucket = min(exact + int(fraction * (buckets - exact)), buckets - 1)
            bias[:, t, s] = table[first + bucket]
    return bias


def sinusoids(positions, d_model):
    """Section 3.5, entry by entry."""
    table = np.zeros((len(positions), d_model))
    for row, position in enumerate(positions):
        for i in range(d_model // 2):
            angle = position / 10_000 ** (2 * i / d_model)
            table[row, 2 * i], table[row, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return table


def tensor2tensor_sinusoids(positions, d_model):
    """get_timing_signal_1d of tensor2tensor, entry by entry: from wavelength 2 pi to 10000 times that."""
    table, half = np.zeros((len(positions), d_model)), d_model // 2
    for row, position in enumerate(positions):
        for i in range(half):
            angle = position * np.exp(-i * np.log(10_000) / (half - 1))
            table[row, i], table[row, half + i] = np.sin(angle), np.cos(angle)
    return table


def _sublayer(params, name, x, function, norm, epsilon=1e-6, normalise=layer_norm):
    if norm == "post":
        return normalise(params[f"{name}_norm"], x + function(x), epsilon)
    return x + function(normalise(params[f"{name}_norm"], x, epsilon))


def encoder_layer(
    params, x, mask=None, norm="post", activation="relu", epsilon=1e-6, *, bias=None, scale=None, normalise=layer_norm
):
    def self_attention(x):
        return multi_head_attention(params["self_attention"], x, x, mask, bias, scale)[0]

    def position_wise(x):
        return feed_forward(params["feed_forward"], x, activation)

    options = dict(norm=norm, epsilon=epsilon, normalise=normalise)
    x = _sublayer(params, "self_attention", x, self_attention, **options)
    return _sublayer(params, "feed_forward", x, position_wise, **options)


def decoder_layer(
    params,
    x,
    memory,
    self_mask=None,
    cross_mask=None,
    norm="post",
    activation="relu",
    *,
    bias=None,
    scale=None,
    normalise=layer_norm,
):
    def self_attention(x):
        return multi_head_attention(params["self_attention"], x, x, self_mask, bias, scale)[0]

    def recurrence(x):
        before = None if self_mask is None else np.diagonal(self_mask, -1)
        return ssru(params["recurrence"], x, None if before is None else [False, *before])

    def cross_attention(x):
        return multi_head_attention(params["cross_attention"], x, memory, cross_mask, None, scale)[0]

    def position_wise(x):
        return feed_forward(params["feed_forward"], x, activation)

    options = dict(norm=norm, normalise=normalise)
    if "recurrence" in params:
        x = _sublayer(params, "recurrence", x, recurrence, **options)
    else:
        x = _sublayer(params, "self_attention", x, self_attention, **options)
    x = _sublayer(params, "cross_attention", x, cross_attention, **options)
    return _sublayer(params, "feed_forward", x, position_wise, **options)


def transformer(params, config, source, target_input):
    """Figure 1 for one pair of sentences without padding: token ids -> logits [target vocab]."""
    target_table = params["embedding"]["embedding"]
    source_table = params.get("source_embedding", params["embedding"])["embedding"]
    output_table = params.get("output_embedding", params["embedding"])["embedding"]
    assert ("source_embedding" in params) == (config.tie_embeddings in ("decoder", "none"))
    assert ("output_embedding" in params) == (config.tie_embeddings in ("inputs", "none"))
    normalise = rms_norm if config.norm_type == "rms" else layer_norm
    options = dict(norm=config.norm, activation=config.activation, normalise=normalise)
    options |= {} if config.scale_scores else dict(scale=1.0)

    def embed(tokens, table, side):
        positions = np.arange(len(tokens))
        if config.positions == "learned":
            vectors = params[f"{side}_positions"]["embedding"][positions]
        elif config.positions == "sinusoidal":
            vectors = sinusoids(positions, config.d_model)
        elif config.positions == "tensor2tensor":
            vectors = tensor2tensor_sinusoids(positions, config.d_model)
        else:
            vectors = 0
        return table[tokens] * (np.sqrt(config.d_model) if config.scale_embeddings else 1) + vectors

    def bias(tokens, side, layer):
        if not config.positions.startswith("relative"):
            return None
        owner = params[f"{side}_positions"] if config.positions == "relative" else layer["positions"]
        table = owner["embedding"]
        positions = range(len(tokens))
        assert len(table) == config.relative_buckets
        return relative_bias(table, positions, positions, config.relative_max_distance, side == "source")

    memory = embed(source, source_table, "source")
    for i in range(config.num_encoder_layers):
        layer = params["encoder"][f"layer_{i}"]
        memory = encoder_layer(layer, memory, bias=bias(source, "source", layer), **options)
    if config.norm == "pre":
        memory = normalise(params["encoder"]["norm"], memory)

    x = embed(target_input, target_table, "target")
    positions = np.arange(len(target_input))
    before = positions[:, None] >= positions[None, :]
    for i in range(config.num_decoder_layers):
        layer = params["decoder"][f"layer_{i}"]
        x = decoder_layer(layer, x, memory, before, bias=bias(target_input, "target", layer), **options)
    if config.norm == "pre":
        x = normalise(params["decoder"]["norm"], x)
    if config.scale_output:
        x = x / np.sqrt(config.d_model)
    return x @ output_table.T + params.get("output_bias", 0)


def causal_lm(params, config, tokens):
    """A decoder without an encoder, for one text: token ids -> logits [length vocab]."""
    positions = np.arange(len(tokens))
    learned = config.positions == "learned"
    vectors = params["positions"]["embedding"][positions] if learned else sinusoids(positions, config.d_model)
    table = params["embedding"]["embedding"]
    x = table[tokens] * (np.sqrt(config.d_model) if config.scale_embeddings else 1) + vectors
    before = positions[:, None] >= positions[None, :]
    for i in range(config.num_layers):
        layer = params["decoder"][f"layer_{i}"]
        x = encoder_layer(layer, x, before, config.norm, config.activation, config.norm_epsilon)
    if config.norm == "pre":
        x = layer_norm(params["decoder"]["norm"], x, config.norm_epsilon)
    return x @ (table if config.tie_embeddings else params["output_embedding"]["embedding"]).T
