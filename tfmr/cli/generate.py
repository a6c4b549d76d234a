"""`tfmr generate RUN --prompt TEXT`: continues a text with a language model."""

import sys
from dataclasses import dataclass, fields

from tfmr.cli.arguments import RunArguments, parse
from tfmr.config import GenerationConfig


@dataclass(frozen=True, kw_only=True)
class Arguments(RunArguments, GenerationConfig):
    """Writes a prompt and its continuation by a language model, token by token. Multiple samples are written one
    after another."""

    prompt: str = ""
    """The beginning of the text. Empty: start a new document, if the model was trained on documents."""
    samples: int = 1
    """Number of texts to write."""


def main(arguments: list[str]) -> None:
    """Writes prompt and continuation to standard output, with a line of --- between samples."""
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
        # Show the first unfinished sample as it grows. Later samples wait for their turn.
        while shown < options.samples:
            sys.stdout.write("".join(texts[shown]))
            texts[shown].clear()
            if shown not in ended:
                break
            shown += 1
            sys.stdout.write("\n---\n" if shown < options.samples else "\n")
        sys.stdout.flush()
