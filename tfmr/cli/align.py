"""`tfmr align RUN`: the attention from the tokens of given translations to the tokens of their sources."""

import itertools
from dataclasses import dataclass
from typing import Literal

from tfmr.cli.arguments import RunArguments, parse_with_run


@dataclass(frozen=True)
class Arguments(RunArguments):
    """Writes one line per pair of sentences: the cross-attention weights of a decoder layer, or an alignment derived
    from them. `tfmr plot` draws the weights."""

    source: str = ""
    """File of sources or, without `target`, a TSV file of sources and targets. Empty: TSV on standard input."""
    target: str = ""
    """File of their translations, one per line."""
    layer: int = -1
    """Decoder layer, from 0. -1: the last layer."""
    head: int = -1
    """Head of the layer, from 0. -1: the mean of all heads."""
    format: Literal["json", "links"] = "json"
    """json: the tokens, and a row of weights over the source for each target token. links: i-j for each target token j
    except EOS, where i is the source token with the largest weight."""
    output: str = ""
    """File to write. Empty: standard output."""


def main(arguments: list[str]) -> None:
    """Writes one line for each pair."""
    options, run = parse_with_run(Arguments, arguments, "tfmr align")
    from tfmr.cli.text_streams import arriving, input_pairs, pairs_of
    from tfmr.runs.outputs import check_output, output_file

    targets = (options.target,) if options.target else ()
    check_output(options.output, (options.source, *targets), (options.run,))
    pairs = input_pairs(options.source, options.target)
    from tfmr.runs.metrics import json_line
    from tfmr.translation import Translator  # slow to import, so the input is checked first
    from tfmr.translation.alignment import check_layer_and_head

    translator = Translator.from_run(run, options.checkpoint)
    head = None if options.head == -1 else options.head
    check_layer_and_head(translator.model.config, options.layer, head)  # before the output is opened
    groups = [(1, pairs)] if pairs else arriving(pairs_of, translator.window)
    found = (translator.align_stream(group, layer=options.layer, head=head, first=first) for first, group in groups)
    with output_file(options.output) as file:
        for alignment in itertools.chain.from_iterable(found):
            if options.format == "json":
                source, target = map(translator.tokenizer.token_texts, alignment[:2])
                weights = [[round(weight, 6) for weight in row] for row in alignment.weights.tolist()]
                line = json_line({"source": source, "target": target, "weights": weights})
            else:
                line = " ".join(f"{source}-{target}" for source, target in alignment.links()[:-1])
            file.write(line.encode() + b"\n")
            file.flush()
