"""The server as a process: what it answers over sockets, and how it ends."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfmr.cli import run
from tfmr.errors import InputError
from tfmr.serving.server import listen

# A translator that takes half a second for a batch, so that requests are in progress when the signal arrives.
PROGRAM = """
import sys, time
from tfmr.config import DecodingConfig, ServingConfig
from tfmr.serving import ServedTranslator, Service, make_app, server
from tfmr.translation import Hypothesis

class Slow:
    config = DecodingConfig(batch_size=4)
    class tokenizer:
        class tags:
            languages = {}
    def source_lengths(self, lines, prefixes):
        return [len(line) for line in lines]
    def n_best(self, lines, number, prefixes):
        time.sleep(0.5)
        return [[Hypothesis(line.upper(), 0.0, ())] for line in lines]

server.IDLE = 1
bound = server.listen("127.0.0.1", 0)
timeout = float(sys.argv[1])
service = Service([ServedTranslator("slow", Slow(), ("en",), ("de",))], settings=ServingConfig(timeout=timeout))
server.run_server(make_app(service), bound, timeout, lambda: print(bound.getsockname()[1], flush=True))
"""


@contextlib.contextmanager
def server(timeout: int = 60) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process, with its limit of time, and its port."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PROGRAM, str(timeout)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def translate(port: int, text: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/translate", json.dumps({"q": text}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["translatedText"]


def check_end(process: subprocess.Popen[str], number: int) -> None:
    """Sends a signal, and checks that the process ends well and has written nothing."""
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.stderr
    assert process.stderr.read() == ""


def test_at_sigterm_it_answers_what_it_has_and_ends_with_0():
    answers: dict[int, tuple[int, str]] = {}
    with server() as (process, port):
        threads = [
            threading.Thread(target=lambda n=n: answers.update({n: translate(port, f"text {n}")})) for n in range(12)
        ]
        for thread in threads:
            thread.start()
        waiting = 0.0
        while waiting < 8:  # a batch of 4 is being translated
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
            waiting = next(float(line.split()[1]) for line in lines if line.startswith("tfmr_waiting_lines "))
        check_end(process, signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert answers == {n: (200, f"TEXT {n}") for n in range(12)}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_it_outlives_clients_that_do_not_behave():
    request = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with server(timeout=2) as (process, port):
        silent, leaving, garbage, unread = (socket.create_connection(("127.0.0.1", port)) for _ in range(4))
        leaving.sendall(b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b'{"q": "ab"}')
        leaving.close()
        garbage.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert garbage.recv(100).startswith(b"HTTP/1.1 400")
        assert translate(port, "abc") == (200, "ABC")
        # Without a request, or if the client does not read the answers, the server closes the connection after a while.
        silent.settimeout(30)
        assert silent.recv(1) == b""
        unread.settimeout(30)
        with pytest.raises(ConnectionError):
            unread.sendall(request * 1_000_000)
        assert translate(port, "abc") == (200, "ABC")
        check_end(process, signal.SIGINT)


def test_an_address_in_use_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--host 127.0.0.1 --port {port}: cannot listen there"):
            listen("127.0.0.1", port)
    with pytest.raises(InputError, match="--port 70000: must be from 0 to 65535"):
        listen("127.0.0.1", 70000)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "no run directory given"),
        (["--port", "1"], "no run directory given"),
        (["nowhere"], "nowhere: not a run directory"),
    ],
)
def test_a_wrong_command_is_one_line(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]):
    from tfmr.cli.serve import main

    with pytest.raises(SystemExit) as ended:
        run(main, arguments)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_each_run_keeps_its_own_decoding_but_for_the_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from tfmr import serving
    from tfmr.cli.serve import main
    from tfmr.config import Config, DecodingConfig, config_to_dict

    for name, beam_size in (("one", 2), ("other", 3)):
        (tmp_path / name).mkdir()
        config = Config(decoding=DecodingConfig(beam_size=beam_size, alpha=1.0))
        (tmp_path / name / "config.json").write_text(json.dumps(config_to_dict(config)))
    loaded, started = [], []
    load = lambda runs, checkpoint, decodings, **_: (loaded.append((runs, checkpoint, decodings)), [])  # noqa: E731
    monkeypatch.setattr(serving, "load_models", load)
    monkeypatch.setattr(serving, "Service", lambda translators, generators, settings: settings)
    monkeypatch.setattr(serving, "make_app", lambda settings, compile_first: settings)
    monkeypatch.setattr("tfmr.serving.server.run_server", lambda *arguments: started.append(arguments))
    monkeypatch.setenv("TFMR_API_KEY", "sesame")
    runs = [str(tmp_path / "one"), str(tmp_path / "other")]
    options = [
        "--port",
        "0",
        "--decoding.alpha",
        "0.5",
        "--checkpoint",
        "best",
        "--max-body",
        "99",
        "--cors-origins",
        "*",
    ]
    main([*runs, *options])
    [(opened, checkpoint, decodings)] = loaded
    assert ([str(run.path) for run in opened], checkpoint) == (runs, "best")
    assert decodings == [DecodingConfig(beam_size=n, alpha=0.5) for n in (2, 3)]
    [(settings, bound, timeout, _)] = started
    assert (settings.api_key, settings.max_body, settings.cors_origins, timeout) == ("sesame", 99, ("*",), 60.0)
    assert bound.getsockname()[0] == "127.0.0.1"
    bound.close()
