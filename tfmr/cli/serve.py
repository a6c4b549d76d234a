"""`tfmr serve RUN [RUN ...]`: answers requests over HTTP."""

import itertools
from dataclasses import dataclass, field

from tfmr.cli.arguments import Runs, parse
from tfmr.config import DecodingConfig
from tfmr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Serves translation models and language models over HTTP, with a page at /."""

    run: Runs
    """The run directories."""
    checkpoint: str = ""
    """The checkpoint of every run: averaged, best, last or a step. Empty: the first of these that exists, except an
    average that is older than the newest checkpoint."""
    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0: all addresses of this machine, so that others can use the server."""
    port: int = 8000
    """Port to listen on. 0: any free port."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How to search. Options that are not given are taken from each run."""


def main(arguments: list[str]) -> None:
    """Loads the models, and answers requests until SIGTERM or SIGINT."""
    if {"-h", "--help"} & set(arguments):
        parse(Arguments, arguments, prog="tfmr serve")
    names = tuple(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    if not names:
        raise InputError("no run directory given; it comes first, as in: tfmr serve runs/demo")
    from tfmr.runs import RunDirectory

    runs = [RunDirectory.open(name) for name in names]
    options = [
        parse(Arguments, arguments, prog="tfmr serve", default=Arguments(run=names, decoding=run.config.decoding))
        for run in runs
    ]
    from tfmr.serving import ServerSettings, Service
    from tfmr.serving.models import load
    from tfmr.serving.server import listen, run_server

    bound = listen(options[0].host, options[0].port)
    models = [load(run, each.checkpoint, each.decoding) for run, each in zip(runs, options, strict=True)]
    host, port = bound.getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)
    run_server(Service(models, ServerSettings()), bound)
