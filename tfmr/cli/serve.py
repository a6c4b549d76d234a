"""`tfmr serve RUN [RUN ...]`: answers requests over HTTP."""

import dataclasses
import itertools
import os
import sys
from dataclasses import dataclass, field

from tfmr.cli.arguments import Runs, parse
from tfmr.config import DecodingConfig, ServingConfig
from tfmr.config.decoding import ComputeType, Engine
from tfmr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments(ServingConfig):
    """Answers HTTP requests with translation models and language models, and serves a web page at /."""

    run: Runs
    """The run directories."""
    checkpoint: str = ""
    """The checkpoint of every run: averaged, best, last or a step. Empty: the first of these that exists, except an
    average that is older than the newest checkpoint."""
    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0: all addresses of this machine, so that others can reach the server."""
    port: int = 8000
    """Port to listen on. 0: any free port."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search. Options that are not given are taken from each run."""
    engine: Engine = "jax"
    """What searches for translations: jax, or ctranslate2 on the CPU, which does not support every option."""
    compute_type: ComputeType = "float32"
    """The number type of CTranslate2's matrix products; int8 is the fastest on most CPUs."""
    glossary: str = ""
    """TSV file of source term, target term and optionally a note. Where a source contains the term, its translation
    contains the target term. Requests may bring their own glossary instead."""


def main(arguments: list[str]) -> None:
    """Loads the models, and answers requests until SIGTERM or SIGINT."""
    if {"-h", "--help"} & set(arguments):
        parse(Arguments, arguments, prog="tfmr serve")
    names = tuple(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    if not names:
        raise InputError("no run directory given; it comes first, as in: tfmr serve runs/demo")
    from tfmr.runs import RunDirectory

    runs = [RunDirectory.open(name) for name in names]
    # Each run has its own defaults of decoding.
    of_runs = [_parse(arguments, names, run.config.decoding) for run in runs]
    options = of_runs[0]
    settings = ServingConfig(**{each.name: getattr(options, each.name) for each in dataclasses.fields(ServingConfig)})
    settings = dataclasses.replace(settings, api_key=settings.api_key or os.environ.get("TFMR_API_KEY", ""))
    from tfmr.serving import Service, load_models, make_app
    from tfmr.serving.server import listen, run_server
    from tfmr.translation import Glossary

    glossary = Glossary.from_file(options.glossary) if options.glossary else None
    bound = listen(options.host, options.port)
    translators, generators = load_models(
        runs,
        options.checkpoint,
        [each.decoding for each in of_runs],
        engine=options.engine,
        compute_type=options.compute_type,
        glossary=glossary,
    )
    address = f"http://{_shown(options.host)}:{bound.getsockname()[1]}"
    app = make_app(Service(translators, generators, settings), compile_first=True)
    run_server(app, bound, settings.timeout, lambda: print(f"listening on {address}", file=sys.stderr, flush=True))


def _parse(arguments: list[str], names: tuple[str, ...], decoding: DecodingConfig) -> Arguments:
    return parse(Arguments, arguments, prog="tfmr serve", default=Arguments(run=names, decoding=decoding))


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
