"""What strangers can do to `assay serve`: half-open connections, large bodies, slow readers; and a caller beside them.

    python bench/strangers.py [--half-open 1000] [--bodies 200] [--readers 100] [--calls 200]

Prints the server's memory before and at its most, and how long a caller with the token waited, without strangers and
among them. Ends with 1 when memory grew by more than 100 MB or the 95th percentile reached a second.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "assay-bench-token"
AGAIN_S = 1.0
MOST_MB = 100.0
MOST_S = 1.0
BODY = {"model": "sandbox/swift", "messages": [{"role": "user", "content": "Name three rivers"}], "max_tokens": 20}


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """The port and the process of a service over the sandbox."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
        env |= {"ASSAY_API_TOKEN": TOKEN, "ASSAY_DATABASE_URL": f"sqlite:///{folder}/assay.db"}
        command = [sys.executable, "-m", "assay", "serve", "--port", "0"]
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        port = int(process.stdout.readline().split(":")[2].split("/")[0])
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def waits(port: int, calls: int, *, completions: bool) -> list[float]:
    """Seconds that each call of a caller with the token took, a new connection each."""
    found = []
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    for number in range(calls):
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        if completions:
            connection.request("POST", "/api/completions", json.dumps({**BODY, "seed": number}), headers)
        else:
            connection.request("GET", "/api/v1/models/sandbox/swift", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        connection.close()
        found.append(time.monotonic() - started)
    return found


class Strangers:
    """Connections that hold on to the server from one thread: each is opened again a second after it is closed."""

    def __init__(self, port: int, half_open: int, bodies: int, readers: int) -> None:
        self._port = port
        self._wanted = {b"half": half_open, b"body": bodies, b"read": readers}
        self._selector = selectors.DefaultSelector()
        self._going = True
        self.opened = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _open(self, kind: bytes) -> None:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self._port))
        self._selector.register(one, selectors.EVENT_WRITE, kind)
        self.opened += 1

    def _run(self) -> None:
        for kind, count in self._wanted.items():
            for _ in range(count):
                self._open(kind)
        block = b"x" * 65536
        closed: list[tuple[float, bytes]] = []
        while self._going:
            while closed and closed[0][0] < time.monotonic():
                self._open(closed.pop(0)[1])
            for key, _ in self._selector.select(0.05):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                try:
                    self._act(one, key.data, block)
                except BlockingIOError:
                    continue
                except OSError:
                    self._selector.unregister(one)
                    one.close()
                    closed.append((time.monotonic() + AGAIN_S, key.data.partition(b" ")[0]))
            time.sleep(0.005)

    def _act(self, one: socket.socket, kind: bytes, block: bytes) -> None:
        if kind == b"half":
            one.send(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            self._selector.modify(one, selectors.EVENT_READ, b"half waits")
        elif kind == b"body":
            one.send(b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 33000000\r\n\r\n")
            self._selector.modify(one, selectors.EVENT_WRITE, b"body sends")
        elif kind == b"body sends":
            one.send(block)
        elif kind == b"read":
            one.send(b"GET /api/docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 4)
            self._selector.modify(one, selectors.EVENT_READ, b"read waits")
        elif not one.recv(1):
            raise ConnectionResetError

    def __enter__(self) -> Strangers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


class Watch:
    """The most memory that a process had while it was watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._going = True
        self.most_mb = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while self._going:
            self.most_mb = max(self.most_mb, memory_mb(self._pid))
            time.sleep(0.05)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join()


def p95(seconds: list[float]) -> float:
    """The 95th percentile."""
    return sorted(seconds)[int(len(seconds) * 0.95)]


def row(name: str, seconds: list[float]) -> str:
    """A line of the table."""
    return f"{name:28} {statistics.median(seconds):9.3f} {p95(seconds):9.3f} {max(seconds):9.3f}"


def main() -> int:
    """Runs both, prints the table."""
    parser = argparse.ArgumentParser()
    for name, default in (("half-open", 1000), ("bodies", 200), ("readers", 100), ("calls", 200), ("completions", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    with served() as (port, pid):
        alone = [waits(port, given.calls, completions=False), waits(port, given.completions, completions=True)]
        before = memory_mb(pid)
        with Strangers(port, given.half_open, given.bodies, given.readers) as strangers, Watch(pid) as watch:
            time.sleep(3)
            among = [waits(port, given.calls, completions=False), waits(port, given.completions, completions=True)]
    print(f"{'seconds per call':28} {'median':>9} {'p95':>9} {'longest':>9}")
    for name, alike, crowded in zip(("a model", "a completion"), alone, among, strict=True):
        print(row(f"{name}, alone", alike))
        print(row(f"{name}, among strangers", crowded))
    grown = watch.most_mb - before
    print(f"memory {before:.0f} MB, at most +{grown:.0f} MB; {strangers.opened} connections of strangers")
    return int(grown > MOST_MB or p95(among[0]) >= MOST_S or p95(among[1]) - p95(alone[1]) >= MOST_S)


if __name__ == "__main__":
    sys.exit(main())
