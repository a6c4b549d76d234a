"""The throughput and latency of `tfmr serve`, beside the translator that reads the same lines from a file.

    python benchmarks/serving.py runs/demo runs/demo/evaluation/test.source.txt

starts a server, lets many clients translate the lines of a file, one line a request, and checks that every answer is
the one of `Translator.translate` with the same batch size. It prints throughput, latency and memory. The times of the
translator do not contain its start, and neither do those of the server. All programs are compiled before.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

DIRECT = """
import json, sys, time
from tfmr.translation import Translator
run, file, batch_size, rounds = sys.argv[1:]
import dataclasses
translator = Translator.from_run(run)
translator.config = dataclasses.replace(translator.config, batch_size=int(batch_size))
lines = open(file, encoding="utf-8").read().splitlines()
translator.translate(lines)
for _ in range(int(rounds)):
    sys.stdin.readline()
    started = time.perf_counter()
    translations = translator.translate(lines)
    print(json.dumps({"seconds": time.perf_counter() - started, "translations": translations}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("file")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lines = Path(options.file).read_text(encoding="utf-8").splitlines()
    arguments = [options.run, options.file, str(options.batch_size), str(options.rounds)]
    direct = subprocess.Popen(
        [sys.executable, "-c", DIRECT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    command = [options.run, "--port", "0", "--decoding.batch-size", str(options.batch_size)]
    code = "import sys; from tfmr.cli import main; sys.argv[0] = 'tfmr'; main()"
    server = subprocess.Popen([sys.executable, "-c", code, "serve", *command], stderr=subprocess.PIPE, text=True)
    try:
        address = next(line.split()[-1] for line in server.stderr if line.startswith("listening"))
        while json.load(urllib.request.urlopen(f"{address}/health"))["compiling"]:
            time.sleep(1)
        for name, value in measure(lines, direct, server.pid, address, options):
            print(f"{name:45} {value}", flush=True)
        server.terminate()
        print(f"{'exit status after SIGTERM':45} {server.wait(60)}")
    finally:
        server.kill()
        direct.kill()


def measure(lines, direct, server: int, address: str, options) -> Iterator[tuple[str, object]]:
    """Yields names and values; the two are measured in turns, as other programs may share the machine."""
    ratios, latencies = [], []
    for number in range(options.rounds):
        direct.stdin.write("\n")
        direct.stdin.flush()
        of_file = json.loads(direct.stdout.readline())
        started = time.perf_counter()
        answers, seconds = asyncio.run(translate_all(lines, address, options.clients))
        elapsed = time.perf_counter() - started
        wrong = sum(one != other for one, other in zip(answers, of_file["translations"], strict=True))
        ratios.append(of_file["seconds"] / elapsed)
        latencies += seconds
        yield f"round {number + 1}: lines/s of the file", f"{len(lines) / of_file['seconds']:.1f}"
        yield f"round {number + 1}: lines/s of the server", f"{len(lines) / elapsed:.1f} ({ratios[-1]:.2f} of the file)"
        yield f"round {number + 1}: answers that differ", wrong
        yield f"round {number + 1}: memory of the server, MiB", resident_memory(server) >> 20
    latencies.sort()
    yield "median of the ratios", f"{sorted(ratios)[len(ratios) // 2]:.2f}"
    for share in (0.5, 0.95, 0.99):
        yield f"latency, percentile {100 * share:.0f}, s", f"{latencies[int(share * (len(latencies) - 1))]:.3f}"


def resident_memory(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def translate_all(lines: list[str], address: str, clients: int) -> tuple[list[str], list[float]]:
    """Returns the translation of each line, and how long each request took, with one connection a client."""
    answers, seconds, left = [""] * len(lines), [], iter(enumerate(lines))
    host, port = address.removeprefix("http://").split(":")

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for index, line in left:
            started = time.perf_counter()
            body = json.dumps({"q": line}).encode()
            head = f"POST /translate HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            length = next(int(each.split(":")[1]) for each in headers if each.startswith("content-length:"))
            answer = json.loads(await reader.readexactly(length))
            assert " 200 " in status, answer
            answers[index] = answer["translatedText"]
            seconds.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers, seconds


if __name__ == "__main__":
    main()
