"""Draws the two diagrams of the architecture page as SVG, with a background that works on light and dark pages.

python docs/pictures/draw_architecture.py docs/pictures
"""

import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path

WIDTH = 656
BLUE, GREEN, ORANGE, GREY = "#dbe9f8", "#dff0dd", "#fbe8d0", "#eceff2"
INK, FAINT = "#1f2933", "#52606d"
DASHED = f'stroke="{FAINT}" stroke-dasharray="5 4"'


def box(x: int, y: int, width: int, height: int, title: str, lines: Iterable[str] = (), fill: str = BLUE) -> list[str]:
    """Returns a box with a title and smaller text below it."""
    parts = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{fill}" stroke="#9aa5b1"/>']
    parts.append(text(x + 12, y + 22, title, weight="bold"))
    return parts + [text(x + 12, y + 41 + 17 * i, line, size=13, fill=FAINT) for i, line in enumerate(lines)]


def text(
    x: int, y: int, words: str, size: int = 15, weight: str = "normal", fill: str = INK, face: str = "sans"
) -> str:
    """Returns a line of text."""
    family = "DejaVu Sans Mono, Menlo, Consolas, monospace" if face == "mono" else "DejaVu Sans, Helvetica, sans-serif"
    style = f'font-family="{family}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(words)}</text>'


def arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    """Returns an arrow."""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{INK}" stroke-width="1.6" marker-end="url(#head)"/>'


def picture(height: int, title: str, parts: Iterable[str]) -> str:
    """Returns an SVG with a background, and a title for screen readers."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img"><title>{escape(title)}</title>'
    )
    marker = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
    )
    background = f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff" stroke="#cbd2d9"/>'
    return "\n".join([head, marker, background, *parts, "</svg>"]) + "\n"


LAYERS: list[list[tuple[str, str, str]]] = [
    [("cli, train.py, configs", "the commands and the recipes", BLUE)],
    [("serving", "HTTP server: Service, make_app", GREY)],
    [("interop", "import, export", GREY), ("analysis", "plots, compiled code", GREY)],
    [("translation", "a task, Translator", BLUE), ("language_model", "a task, Generator", BLUE)],
    [("training", "fit: step, loss, optimizer, sharding, hosts", BLUE)],
    [("search", "beam, greedy, sampling", BLUE), ("runs", "checkpoints, metrics", BLUE)],
    [("models", "encoder-decoder, decoder", GREEN), ("config", "frozen dataclasses", GREEN)],
    [("nn", "the building blocks of the paper; jax and flax only", GREEN)],
]
"""The packages from top to bottom: title, contents, colour. A layer imports only from the layers below it."""


def folders() -> str:
    """Returns the diagram of the packages and their imports."""
    parts = []
    for i, layer in enumerate(LAYERS):
        y = 24 + 78 * i
        width = (430 - 14 * (len(layer) - 1)) // len(layer)
        for j, (name, what, fill) in enumerate(layer):
            parts += box(24 + j * (width + 14), y, width, 52, name, [what], fill)
        if i:
            parts.append(arrow(239, y - 24, 239, y - 2))
    importers = [24 + 78 * i for i in range(len(LAYERS) - 2)]  # every layer above models and config
    parts += box(492, 24, 140, importers[-1] + 28, "data", ["text to tokens", "to batches;", "NumPy only"], ORANGE)
    parts += [arrow(454, y + 26, 490, y + 26) for y in importers]
    config = importers[-1] + 78 + 26
    parts.append(f'<path d="M562 {config - 52} V{config}" stroke="{INK}" stroke-width="1.6"/>')
    parts.append(arrow(562, config, 456, config))
    height = 24 + 78 * len(LAYERS)
    parts.append(
        text(24, height + 4, "Arrows point to what is imported. A layer may import from every layer below it.", 13)
    )
    return picture(height + 20, "The packages of tfmr and their imports", parts)


STEPS = [
    ("pairs of lines", "I go home.   Ich gehe nach Hause.", "data/corpora", ORANGE),
    ("token ids", "one tokenizer for both languages", "data/tokenizer.py", ORANGE),
    ("token arrays on disk", "and their lengths; written once per corpus", "data/prepare.py", ORANGE),
    ("batch plan", "a function of lengths, seed and epoch", "data/batching.py", ORANGE),
    ("a batch", "tokens, segments, positions: [rows, length]", "data/pairs.py", ORANGE),
    ("on the devices", "rows are sharded over the mesh", "training/sharding.py", BLUE),
    ("embedding + position", "[batch, length, d_model]", "nn/embedding.py", GREEN),
    ("encoder, over the source", "N x self-attention, feed-forward", "nn/stacks.py", GREEN),
    ("decoder, over the target so far", "N x self-, cross-attention, feed-forward", "nn/layers.py", GREEN),
    ("logits", "states times embedding, in chunks", "training/loss.py", BLUE),
    ("loss", "sum over tokens / tokens on all devices", "training/loss.py", BLUE),
    ("gradient, Adam", "the next state: parameters, step", "training/step.py", BLUE),
]
"""The steps from text to the next state: title, explanation, file, colour."""


def text_to_loss() -> str:
    """Returns the diagram of the steps from text to loss."""
    first = next(i for i, (_, _, file, _) in enumerate(STEPS) if file.startswith("nn/"))
    top = 14 + 76 * first
    parts = [f'<rect x="14" y="{top}" width="360" height="224" rx="9" fill="none" {DASHED}/>']
    for i, (title, what, file, fill) in enumerate(STEPS):
        y = 24 + 76 * i
        parts += box(24, y, 340, 52, title, [what], fill)
        parts.append(text(384, y + 31, f"tfmr/{file}", 13, face="mono"))
        if i:
            parts.append(arrow(194, y - 24, 194, y - 2))
    height = 24 + 76 * len(STEPS)
    parts += [text(384, top + 217, "the dashed frame:", 13, fill=FAINT)]
    parts += [text(384, top + 234, "tfmr/models/transformer/model.py", 13, face="mono")]
    return picture(height, "From text to loss", parts)


def main(folder: str) -> None:
    """Writes both diagrams."""
    for name, svg in (("folders", folders()), ("text_to_loss", text_to_loss())):
        (Path(folder) / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
