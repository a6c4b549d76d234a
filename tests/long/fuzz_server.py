"""Random and hostile requests to the server: each gets an answer or a reason, and the server goes on.

`make test-long` runs it. TFMR_FUZZ_REQUESTS is the number of requests (10000, some minutes), and TFMR_LONG_SEED the
seed. The server is a process with a small translator and a small language model. Requests come from several threads;
every tenth client does not behave: it hangs up, never reads, sends half of a request, or something that is not HTTP.
Between them, known lines are translated, and the answers must be right.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tfmr.serving.completions import COMPLETION
from tfmr.serving.fields import Field, Fields
from tfmr.serving.libretranslate import DETECT, TRANSLATE

TESTS = Path(__file__).resolve().parents[1]
SEED = int(os.environ.get("TFMR_LONG_SEED") or 0)
REQUESTS = int(os.environ.get("TFMR_FUZZ_REQUESTS") or 10_000)
THREADS = 8

PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:]
import json
from conftest import DECODING, make_generator
from small_translators import make_translator
from tfmr.config import ServingConfig
from tfmr.serving import ServedGenerator, ServedTranslator, Service, make_app, server
translator = make_translator(DECODING)
languages = {"letters": "en", "more": "fr"}
translators = [ServedTranslator(name, translator, (source,), ("de",)) for name, source in languages.items()]
bound = server.listen("127.0.0.1", 0)
service = Service(translators, [ServedGenerator("writer", make_generator())], ServingConfig(timeout=60))
lines = ["abc", "bad cab", "h", "jig"]
print(json.dumps([bound.getsockname()[1], dict(zip(lines, translator.translate(lines)))]), flush=True)
server.run_server(make_app(service), bound, 60, lambda: print("ready", flush=True))
"""

TEXTS = [
    "",
    "abc",
    "bad cab",
    "a\nb\r\n\nc",
    "\x00",
    "\ufeff",
    "ß→🙂",
    "a" * 15,
    "j " * 400,
    "x" * 100_000,
    "</s>",
    "auto",
    "\u202e",
]
NAMES = ["letters", "writer", "en", "de", "xx", "text", "html"]
ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    17,
    10**30,
    0.5,
    -0.0,
    1e308,
    [],
    {},
    [[]],
    {"a": {}},
    [None],
    ["a", 1],
    "\ud800",
]
FIELDS = {"/translate": TRANSLATE, "/detect": DETECT, "/v1/completions": COMPLETION}
PATHS = [
    *FIELDS,
    "/languages",
    "/health",
    "/metrics",
    "/openapi.json",
    "/v1/models",
    "/",
    "/v1/models/writer",
]
STRANGE_PATHS = [
    "/%00",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "//",
    "/translate/",
    "/v1/models/%ff",
    "/style.css/../x",
    "/" + "a" * 5000,
]
METHODS = ["POST"] * 12 + ["GET"] * 6 + ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"]


def value_of(draw: random.Random, field: Field) -> Any:
    """Returns a value of a type that a field may have, or, one time in ten, any other one."""
    if draw.random() < 0.1:
        return draw.choice([*ODD, draw.choice(TEXTS)])
    if field.only and draw.random() < 0.7:
        return draw.choice(field.only)
    text: Callable[[], str] = lambda: draw.choice([*TEXTS, *NAMES])  # noqa: E731
    values: dict[str, Callable[[], Any]] = {
        "text": text,
        "texts": lambda: [text() for _ in range(draw.randrange(5))],
        "integer": lambda: draw.randrange(-1, 20),
        "number": lambda: draw.uniform(-0.1, 2),
        "boolean": lambda: draw.random() < 0.5,
        "object": lambda: draw.choice([{}, {"include_usage": True}]),
    }
    return values[draw.choice(field.kinds)]()


VALID = {
    "q": ["abc", ["bad cab", "", "j\na"], "a b c", ""],
    "source": ["en", "fr", "auto"],
    "format": ["text", "text", "html", "markdown", "subrip"],
    "glossary": [{}, {"cab": "d"}, {"bad cab": "a b|c", "h": "hi"}, {"": ""}],
    "target": ["de", ""],
    "alternatives": [0, 1],
    "prompt": ["a", "the fox", ["ab", "cd"]],
    "max_tokens": [1, 5, 30],
    "n": [1, 2],
    "stop": ["a", ["e", "t"]],
    "temperature": [0, 0.5, 1],
    "top_p": [0.3, 1],
    "stream_options": [{}, {"include_usage": True}],
}


def body_of(draw: random.Random, fields: Fields) -> bytes:
    """Returns a JSON object with the fields of a request, or something that is not quite one."""
    names = [name for name, field in fields.items() if draw.random() < (0.95 if field.required else 0.3)]
    valid = {**VALID, "model": ["writer"] if "prompt" in fields else ["letters", ""]}
    wrong = draw.random() < 0.5
    values = {
        name: value_of(draw, fields[name]) if wrong or name not in valid else draw.choice(valid[name]) for name in names
    }
    if draw.random() < 0.05:
        values[draw.choice(["messages", "Q", "", "api_key", "\ud800"])] = draw.choice(ODD)
    body = json.dumps(values).encode()
    if draw.random() < 0.1:
        place = draw.randrange(len(body))
        body = draw.choice([body[:place], body[:place] + b"\xff" + body[place:], b"[" * 5000, b"", body * 2])
    return body


def ask(draw: random.Random, port: int) -> tuple[int, bytes]:
    """Sends a random request; returns the status and the answer."""
    method, path = draw.choice(METHODS), draw.choice(PATHS if draw.random() < 0.9 else STRANGE_PATHS)
    if draw.random() < 0.7:
        method, path = "POST", draw.choice(list(FIELDS))
    body = body_of(draw, FIELDS.get(path, TRANSLATE)) if method == "POST" else None
    kinds = ["application/json"] * 8 + ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "?"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": draw.choice(kinds)})
        answer = connection.getresponse()
        return answer.status, answer.read()


def misbehave(draw: random.Random, port: int) -> None:
    """Does what no client should."""
    body = json.dumps({"q": "j " * 100, "source": "en"}).encode()
    head = b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    stream = json.dumps({"model": "writer", "prompt": "a", "max_tokens": 40, "stream": True}).encode()
    chunked = b"POST /translate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent = draw.choice(
        [
            b"",
            head[: draw.randrange(len(head))],
            head + body[: draw.randrange(len(body))],
            head + body,  # and does not wait for the answer
            (head + body) * 3,
            b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(stream) + stream,
            chunked + b'5\r\n{"q":\r\nzz\r\n',
            b"\x16\x03\x01\x02\x00\x01\x00\x01",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: " + b"a" * 100_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ]
    )
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        time.sleep(draw.choice([0, 0, 0.01, 0.1]))


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[subprocess.Popen[str], int, dict[str, str]]]:
    """The process, its port, and the translation of a few lines."""
    folders = [str(TESTS / "serving"), str(TESTS), str(TESTS.parent)]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *folders], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            port, translations = json.loads(process.stdout.readline())
            assert process.stdout.readline() == "ready\n"
            yield process, port, translations
        finally:
            process.kill()


def check_translation(port: int, lines: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("POST", "/translate", json.dumps({"q": list(lines), "source": "en"}))
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (200, {"translatedText": list(lines.values())})


def memory(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def files(process: subprocess.Popen[str]) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def test_random_requests_are_answered_or_refused(server: tuple[subprocess.Popen[str], int, dict[str, str]]):
    process, port, lines = server

    def one(number: int) -> tuple[int, bytes]:
        draw = random.Random(f"{SEED} {number}")
        if number % 10 == 0:
            misbehave(draw, port)
            return 0, b""
        if number % 100 == 1:
            check_translation(port, lines)
        return ask(draw, port)

    statuses: Counter[int] = Counter()
    sizes = []
    opened = files(process)
    with ThreadPoolExecutor(THREADS) as threads:
        for number, (status, answer) in enumerate(threads.map(one, range(REQUESTS))):
            statuses[status] += 1
            assert status < 500, f"request {number} of seed {SEED}: {status} {answer[:300]!r}"
            assert b"Traceback" not in answer
            if number % max(1, REQUESTS // 10) == 0:
                sizes.append(memory(process))
                print(number, dict(statuses), f"{sizes[-1]} MiB, {files(process)} files", flush=True)
    assert statuses[200] > 0.05 * REQUESTS
    assert statuses[400] > 0.2 * REQUESTS
    check_translation(port, lines)
    assert sizes[-1] < sizes[len(sizes) // 2] + 50, "memory grows"
    time.sleep(12)  # idle connections are closed
    assert files(process) <= opened + 2


def test_large_and_unread_answers_do_no_harm(server: tuple[subprocess.Popen[str], int, dict[str, str]]):
    process, port, lines = server
    before = memory(process)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/translate", iter([b" " * 1_000_000] * 100), {"Content-Length": str(100_000_000)})
    assert connection.getresponse().status == 413
    unread = []
    body = json.dumps({"q": ["j"] * 3000}).encode()
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.sendall(b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        unread.append(client)
    check_translation(port, lines)
    assert memory(process) < before + 200
    for client in unread:
        client.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert process.stderr
    said = process.stderr.read().splitlines()
    assert [line for line in said if not line.startswith("WARNING:tfmr:line ")] == []  # of documents and glossaries
