"""Small models as Marian itself stores and computes them, written from a description of its format, in float64 NumPy.

A file of version 1, little-endian: uint64 version and number of items; per item uint64 length of the name with its zero
byte, type, number of axes, number of bytes; the names; the shapes as int32; uint64 size of a padding, and the padding;
the data. Types: 0x101 bytes, 0x404 float32, 0x4101 int8 with the float32 multiplier after the last number. Matrices of
int8 are transposed, the table Wemb is not.
"""

import io
import struct
from pathlib import Path

import numpy as np

MODEL = "model.enxx.intgemm.alphas.bin"
BYTES, FLOAT32, INT8 = 0x101, 0x404, 0x4101
D_MODEL, D_FF, HEADS, ENCODER, DECODER = 16, 24, 2, 2, 2
OPTIONS = {
    "type": "transformer",
    "dim-emb": D_MODEL,
    "dim-vocabs": [0, 0],
    "enc-depth": ENCODER,
    "dec-depth": DECODER,
    "dec-cell": "ssru",
    "transformer-heads": HEADS,
    "transformer-dim-ffn": D_FF,
    "transformer-ffn-depth": 2,
    "transformer-ffn-activation": "relu",
    "transformer-decoder-autoreg": "rnn",
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": "",
    "transformer-tied-layers": [],
    "transformer-train-position-embeddings": False,
    "tied-embeddings": False,
    "tied-embeddings-src": False,
    "tied-embeddings-all": True,
    "layer-normalization": False,
    "output-omit-bias": False,
    "version": "v1.9.56 2021-04-28",
}
SELF_ATTENTION = {"transformer-decoder-autoreg": "self-attention"}
UNTIED = {"tied-embeddings-all": False}


def random_weights(options: dict, vocab_size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns weights under Marian's names; vectors are [1, n], and none has a special value."""
    random = np.random.default_rng(seed)
    weights = {}

    def matrix(name, *shape):
        weights[name] = random.standard_normal(shape).astype(np.float32) * shape[0] ** -0.5

    def vector(name, size, scale=0.2):
        weights[name] = scale * random.standard_normal((1, size)).astype(np.float32)

    def norm(name):
        vector(f"{name}_ln_bias", D_MODEL)
        vector(f"{name}_ln_scale", D_MODEL)
        weights[f"{name}_ln_scale"] += 1

    def attention(name):
        for part in "qkvo":
            matrix(f"{name}_W{part}", D_MODEL, D_MODEL)
            vector(f"{name}_b{part}", D_MODEL)
        norm(f"{name}_Wo")

    for stack, depth in (("encoder", ENCODER), ("decoder", DECODER)):
        for layer in (f"{stack}_l{i}" for i in range(1, depth + 1)):
            if stack == "decoder" and options["transformer-decoder-autoreg"] == "rnn":
                matrix(f"{layer}_rnn_W", D_MODEL, D_MODEL)
                matrix(f"{layer}_rnn_Wf", D_MODEL, D_MODEL)
                vector(f"{layer}_rnn_bf", D_MODEL)
                norm(f"{layer}_rnn_ffn")
            else:
                attention(f"{layer}_self")
            if stack == "decoder":
                attention(f"{layer}_context")
            matrix(f"{layer}_ffn_W1", D_MODEL, D_FF)
            vector(f"{layer}_ffn_b1", D_FF)
            matrix(f"{layer}_ffn_W2", D_FF, D_MODEL)
            vector(f"{layer}_ffn_b2", D_MODEL)
            norm(f"{layer}_ffn_ffn")
    for table in ("Wemb",) if options["tied-embeddings-all"] else ("encoder_Wemb", "decoder_Wemb"):
        weights[table] = random.standard_normal((vocab_size, D_MODEL)).astype(np.float32) * 0.4
    if not options["tied-embeddings-all"] and not options["tied-embeddings"]:
        matrix("decoder_ff_logit_out_W", D_MODEL, vocab_size)
    vector("decoder_ff_logit_out_b", vocab_size, scale=1.0)
    return weights


def float_items(weights: dict) -> list:
    return [(name, FLOAT32, x.shape, x.astype("<f4").tobytes()) for name, x in weights.items()]


def int8_items(weights: dict) -> tuple[list, dict]:
    """Returns matrices as items of 8 bits and the rest as float32, and the weights that these stand for."""
    items, rounded = [], {}
    for name, x in weights.items():
        if x.shape[0] == 1:
            items += float_items({name: x})
            rounded[name] = x
            continue
        multiplier = np.float32(127 / np.abs(x).max())
        numbers = np.rint(x * multiplier).astype(np.int8)
        rounded[name] = numbers / np.float64(multiplier)
        stored = numbers if name == "Wemb" else numbers.T
        data = stored.tobytes() + multiplier.tobytes()
        items.append((name, INT8, x.shape, data + bytes(-len(data) % 256)))
        # The multiplier of the activations that are multiplied by this matrix.
        items.append((f"{name}_QuantMultA", FLOAT32, (1, 1), np.float32(9).tobytes() + bytes(252)))
    return items, rounded


def options_item(options: dict) -> tuple:
    lines = []
    for key, value in options.items():
        lines.append(f'{key}: "{value}"' if isinstance(value, str) else f"{key}: {str(value).lower()}")
    data = "\n".join(lines).encode() + b"\0"
    return "special:model.yml", BYTES, (len(data),), data


def file_of(items: list, version: int = 1) -> bytes:
    """Returns the content of a file with items of name, type, shape and data."""
    names = [name.encode() + b"\0" for name, *_ in items]
    content = struct.pack("<2Q", version, len(items))
    for name, (_, kind, shape, data) in zip(names, items, strict=True):
        content += struct.pack("<4Q", len(name), kind, len(shape), len(data))
    content += b"".join(names) + b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in items)
    padding = 256 - (len(content) + 8) % 256
    return content + struct.pack("<Q", padding) + bytes(padding) + b"".join(data for *_, data in items)


def vocabulary_of(lines: list[str], size: int) -> bytes:
    """Returns a SentencePiece model in which EOS is 0 and the unknown token 1, as Marian trains it."""
    import sentencepiece

    written = io.BytesIO()
    options = dict(vocab_size=size, bos_id=-1, pad_id=-1, eos_id=0, unk_id=1, hard_vocab_limit=False, minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=written, **options)
    return written.getvalue()


def write_firefox_folder(folder: Path, lines: list[str]) -> None:
    """Creates a folder as Firefox's models come in, with a recurrent decoder and weights of 8 bits."""
    import sentencepiece

    folder.mkdir()
    vocabulary = vocabulary_of(lines, 60)
    size = sentencepiece.SentencePieceProcessor(model_proto=vocabulary).get_piece_size()
    options = OPTIONS | {"dim-vocabs": [size, size]}
    weights = random_weights(options, size)
    weights["decoder_ff_logit_out_b"][0, 0] = 2.5  # translations end
    (folder / "vocab.enxx.spm").write_bytes(vocabulary)
    (folder / MODEL).write_bytes(file_of([*int8_items(weights)[0], options_item(options)]))
    (folder / "lex.s2t.bin").write_bytes(struct.pack("<2Q", 0xF11A48D5013417F5, 7))  # a shortlist, which is not read
    settings = f"models:\n  - {MODEL}\nvocabs: [vocab.enxx.spm, vocab.enxx.spm]\n"
    (folder / "config.yml").write_text(settings + "beam-size: 1\nnormalize: 0.7\nword-penalty: 0\n")


class Marian:
    """What Marian computes with weights, one sentence at a time."""

    def __init__(self, weights: dict):
        self.weights = {name: np.asarray(x, np.float64) for name, x in weights.items()}

    def affine(self, x, matrix, bias):
        return x @ self.weights[matrix] + self.weights[bias]

    def layer_norm(self, x, name):
        variance = x.var(axis=-1, keepdims=True)
        scale, bias = (self.weights[f"{name}_ln_{part}"] for part in ("scale", "bias"))
        return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(variance + 1e-6) * scale + bias

    def positions(self, length):
        half = D_MODEL // 2
        angles = np.arange(length)[:, None] * np.exp(-np.arange(half) * np.log(10_000) / (half - 1))
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    def attention(self, name, x, memory, causal=False):
        def heads(y, part):
            return self.affine(y, f"{name}_W{part}", f"{name}_b{part}").reshape(len(y), HEADS, -1).swapaxes(0, 1)

        query, key, value = heads(x, "q"), heads(memory, "k"), heads(memory, "v")
        scores = query @ key.swapaxes(1, 2) / np.sqrt(D_MODEL / HEADS)
        if causal:
            scores = np.where(np.tril(np.ones(scores.shape[1:])), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        output = self.affine((weights @ value).swapaxes(0, 1).reshape(len(x), -1), f"{name}_Wo", f"{name}_bo")
        return self.layer_norm(x + output, f"{name}_Wo")

    def recurrence(self, name, x):
        state, outputs = np.zeros(D_MODEL), []
        for row in x:
            gate = 1 / (1 + np.exp(-self.affine(row, f"{name}_Wf", f"{name}_bf")[0]))
            state = gate * state + (1 - gate) * (row @ self.weights[f"{name}_W"])
            outputs.append(np.maximum(state, 0))
        return self.layer_norm(x + np.stack(outputs), f"{name}_ffn")

    def feed_forward(self, name, x):
        inner = np.maximum(self.affine(x, f"{name}_W1", f"{name}_b1"), 0)
        return self.layer_norm(x + self.affine(inner, f"{name}_W2", f"{name}_b2"), f"{name}_ffn")

    def logits(self, source: list[int], target: list[int]) -> np.ndarray:
        """Returns the logits of the token after each of the first 0, 1, ... tokens of a target."""
        side = {"encoder": "Wemb", "decoder": "Wemb"}
        if "Wemb" not in self.weights:
            side = {stack: f"{stack}_Wemb" for stack in side}
        x = self.weights[side["encoder"]][source] * np.sqrt(D_MODEL) + self.positions(len(source))
        for layer in (f"encoder_l{i}" for i in range(1, ENCODER + 1)):
            x = self.feed_forward(f"{layer}_ffn", self.attention(f"{layer}_self", x, x))
        memory = x
        embedded = self.weights[side["decoder"]][target] * np.sqrt(D_MODEL)
        x = np.concatenate([np.zeros((1, D_MODEL)), embedded]) + self.positions(len(target) + 1)
        for layer in (f"decoder_l{i}" for i in range(1, DECODER + 1)):
            if f"{layer}_rnn_W" in self.weights:
                x = self.recurrence(f"{layer}_rnn", x)
            else:
                x = self.attention(f"{layer}_self", x, x, causal=True)
            x = self.feed_forward(f"{layer}_ffn", self.attention(f"{layer}_context", x, memory))
        output = self.weights.get("decoder_ff_logit_out_W", self.weights[side["decoder"]].T)
        return x @ output + self.weights["decoder_ff_logit_out_b"]

    def greedy(self, source: list[int], eos: int, longest: int) -> list[int]:
        """Returns the most probable tokens, one after the other, without EOS."""
        target: list[int] = []
        while len(target) < longest and (best := int(self.logits(source, target)[-1].argmax())) != eos:
            target.append(best)
        return target
