"""`tfmr generate RUN --prompt TEXT`: a language model goes on with a text."""

import sys
from dataclasses import dataclass, fields

import tyro

from tfmr.config import GenerationConfig


@dataclass(frozen=True, kw_only=True)
class Arguments(GenerationConfig):
    """Writes what a language model makes of a prompt, token by token; several samples one after the other."""

    run: tyro.conf.Positional[str]
    """The run directory."""
    prompt: str = ""
    """What the text begins with. Empty: the beginning of a document, if the model was trained on documents."""
    samples: int = 1
    """How many texts are written."""
    checkpoint: str = ""
    """averaged, best, last, or a step; empty: the first of these that is there."""


def main(arguments: list[str]) -> None:
    """Writes prompt and continuation to standard output; lines of --- stand between samples."""
    from tfmr.cli.arguments import parse

    options = parse(Arguments, arguments, prog="tfmr generate")
    from tfmr.language_model.generator import Generator

    config = GenerationConfig(**{field.name: getattr(options, field.name) for field in fields(GenerationConfig)})
    generator = Generator.from_run(options.run, options.checkpoint, config)
    texts = [[options.prompt] for _ in range(options.samples)]
    ended, shown = set(), 0
    for piece in generator.stream([options.prompt], options.samples):
        texts[piece.sample].append(piece.text)
        if piece.continuation:
            ended.add(piece.sample)
        # The first that has not ended is shown as it grows, those after it when their turn comes.
        while shown < options.samples:
            sys.stdout.write("".join(texts[shown]))
            texts[shown].clear()
            if shown not in ended:
                break
            shown += 1
            sys.stdout.write("\n---\n" if shown < options.samples else "\n")
        sys.stdout.flush()
