"""`tfmr align RUN`: where a model looks in the source for each token of given translations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import tyro

from tfmr.cli.run_arguments import parse_with_run

if TYPE_CHECKING:
    from tfmr.translation import Alignment


@dataclass(frozen=True)
class Arguments:
    """Writes a line for each pair: the attention weights of a layer of the decoder, or the links that they make.
    Reads standard input, a tab between source and target, or files. `tfmr plot` draws them."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""
    source: str = ""
    """File of sources; without `target` a TSV of source and target; empty: standard input is that TSV."""
    target: str = ""
    """File of their translations, line by line."""
    layer: int = -1
    """Layer of the decoder, from 0; -1: the last."""
    head: int = -1
    """Head of the layer, from 0; -1: the mean of all."""
    format: Literal["json", "links"] = "json"
    """json: tokens, and for each token of the target the weights of the source's. links: i-j for each token j of the
    target, but for its end mark, and the token i of the source that it looks at the most."""
    output: str = ""
    """File to write; empty: standard output."""


def main(arguments: list[str]) -> None:
    """Writes one line for each pair read."""
    options = parse_with_run(Arguments, arguments, "tfmr align")
    from tfmr.cli.text_streams import input_pairs, output_file

    pairs = input_pairs(options.source, options.target)
    from tfmr.translation import Translator  # slow to import: after what is wrong with the input was told

    translator = Translator.from_run(options.run, options.checkpoint)
    head = None if options.head == -1 else options.head
    alignments = translator.align_stream(pairs, layer=options.layer, head=head)
    with output_file(options.output, options.source, options.target) as file:
        for alignment in alignments:
            line = _links(alignment)
            if options.format == "json":
                line = _json(alignment, *map(translator.tokenizer.token_texts, alignment[:2]))
            file.write(line.encode() + b"\n")
            file.flush()


def _links(alignment: "Alignment") -> str:
    return " ".join(f"{source}-{target}" for source, target in alignment.links()[:-1])


def _json(alignment: "Alignment", source: Sequence[str], target: Sequence[str]) -> str:
    weights = [[round(weight, 6) for weight in row] for row in alignment.weights.tolist()]
    return json.dumps({"source": source, "target": target, "weights": weights}, ensure_ascii=False)
