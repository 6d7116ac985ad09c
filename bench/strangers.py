"""What strangers can do to the servers: half-open connections, large bodies, slow readers, storms.

    python bench/strangers.py [--half-open 1000] [--bodies 200] [--readers 100] [--calls 200] [--app]

Strangers and the caller are processes of their own, and the strangers are niced: on a machine of two cores they would
else take the time that is measured. Prints the server's memory, how long a caller with the token waited (alone, among
strangers, in a storm of strangers that come again at once), how much of that went before the system took the
connection, and how long the server and the caller waited for a core: what belongs to the machine and not to the server.
`--app` starts the pages' server instead and adds WebSockets. Ends with 1 when memory grew by more than 100 MB or the
95th percentile reached a second.
"""

from __future__ import annotations

import argparse
import base64
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
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "assay-bench-token"
MOST_MB = 100.0
MOST_S = 1.0
BODY = {"model": "sandbox/swift", "messages": [{"role": "user", "content": "Name three rivers"}], "max_tokens": 20}
FIRST = {
    "half": b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "body": b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 33000000\r\n\r\n",
    "read": b"GET /api/docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 4,
}


class Call(NamedTuple):
    """One call of the caller."""

    connect_s: float
    total_s: float


class Waited(NamedTuple):
    """What a process had of the machine, and how long it waited for a core."""

    ran_s: float
    waited_s: float


@contextmanager
def served(*, app: bool) -> Iterator[tuple[int, int]]:
    """The port and the process of a server over the sandbox."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder, open(f"{folder}/log", "w") as log:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
        env |= {"ASSAY_API_TOKEN": TOKEN, "ASSAY_DATABASE_URL": f"sqlite:///{folder}/assay.db"}
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "assay", "serve", "--port", str(port)]
        if app:
            command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
            command += ["--server.port", str(port)]
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_for(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def wait_for(port: int) -> None:
    """Waits until the server answers."""
    for _ in range(600):
        try:
            call(port, "GET", "/api/v1/models/sandbox/swift")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def waited(pid: int) -> Waited:
    """What the process's main thread had and waited for so far."""
    ran, queued, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return Waited(int(ran) / 1e9, int(queued) / 1e9)


def overflows() -> int:
    """Connections that the system dropped so far because a server's queue was full, over the whole machine."""
    names, values = [line for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("TcpExt")]
    return int(dict(zip(names.split(), values.split(), strict=True))["ListenOverflows"])


def call(port: int, method: str, path: str, body: str | None = None) -> Call:
    """One call with the token over a connection of its own."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    connected = time.monotonic()
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    connection.close()
    return Call(connected - started, time.monotonic() - started)


def be_caller(port: int, calls: int, completions: int) -> None:
    """The caller's process: its calls and what it waited for a core, as JSON."""
    models = [call(port, "GET", "/api/v1/models/sandbox/swift") for _ in range(calls)]
    spoken = [
        call(port, "POST", "/api/completions", json.dumps({**BODY, "seed": number})) for number in range(completions)
    ]
    print(json.dumps({"models": models, "completions": spoken, "waited_s": waited(os.getpid()).waited_s}))


class Strangers:
    """Connections that hold on to the server: each is opened again `again_s` seconds after it is closed."""

    def __init__(self, port: int, wanted: dict[str, int], again_s: float) -> None:
        self._port = port
        self._wanted = wanted
        self._again_s = again_s
        self._selector = selectors.DefaultSelector()
        self._closed: deque[tuple[float, str]] = deque()
        self.opened = 0
        self.upgraded = 0

    def run(self, until: threading.Event) -> None:
        """Goes on until it is told to stop."""
        for kind, count in self._wanted.items():
            for _ in range(count):
                self._open(kind)
        while not until.is_set():
            while self._closed and self._closed[0][0] <= time.monotonic():
                self._open(self._closed.popleft()[1])
            for key, _ in self._selector.select(0.02):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                try:
                    self._act(one, key.data)
                except BlockingIOError:
                    continue
                except OSError:
                    self._close(one, key.data)

    def _open(self, kind: str) -> None:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", self._port))
        self._selector.register(one, selectors.EVENT_WRITE, kind)
        self.opened += 1

    def _close(self, one: socket.socket, kind: str) -> None:
        self._selector.unregister(one)
        one.close()
        self._closed.append((time.monotonic() + self._again_s, kind.partition(" ")[0]))

    def _act(self, one: socket.socket, kind: str) -> None:
        if kind == "body sends":
            one.send(b"x" * 65536)
        elif kind == "socket":
            key = base64.b64encode(os.urandom(16)).decode()
            host = f"127.0.0.1:{self._port}"
            one.send(
                f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            self._selector.modify(one, selectors.EVENT_READ, "socket waits")
        elif kind == "storm":
            one.send(FIRST["half"])
            raise ConnectionResetError  # and comes again
        elif kind in FIRST:
            one.send(FIRST[kind])
            waits = selectors.EVENT_WRITE if kind == "body" else selectors.EVENT_READ
            self._selector.modify(one, waits, f"{kind} sends" if kind == "body" else f"{kind} waits")
        else:
            got = one.recv(1 if kind == "read waits" else 65536)
            if not got:
                raise ConnectionResetError
            self.upgraded += kind == "socket waits" and got.startswith(b"HTTP/1.1 101")


def be_strangers(port: int, wanted: dict[str, int], again_s: float) -> None:
    """The strangers' process: goes on until its input is closed."""
    os.nice(10)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard > 0 else 8192, hard))
    done = threading.Event()
    strangers = Strangers(port, wanted, again_s)
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    strangers.run(done)
    print(json.dumps({"opened": strangers.opened, "upgraded": strangers.upgraded}))


class Watch:
    """The most memory that a process had while it was watched."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self.most_mb = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._done.wait(0.05):
            self.most_mb = max(self.most_mb, memory_mb(self._pid))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def part(role: str, *given: object) -> subprocess.Popen[str]:
    """A process of this program that plays a part."""
    command = [sys.executable, __file__, role, *map(str, given)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measured(name: str, port: int, pid: int, calls: int, completions: int) -> tuple[float, float]:
    """Runs a caller, prints its lines; the 95th percentiles of both kinds of calls in seconds."""
    before = waited(pid)
    told = json.loads(part("caller", port, calls, completions).communicate()[0])
    after = waited(pid)
    worst = []
    for kind in ("models", "completions"):
        all_s = sorted(one[1] for one in told[kind])
        connects = max(one[0] for one in told[kind])
        worst.append(all_s[int(len(all_s) * 0.95)])
        line = f"{kind + ', ' + name:34} {statistics.median(all_s):8.3f} {worst[-1]:8.3f} {all_s[-1]:8.3f}"
        print(f"{line} {connects:10.3f}", flush=True)
    print(
        f"  the server ran {after.ran_s - before.ran_s:.1f} s and waited {after.waited_s - before.waited_s:.1f} s "
        f"for a core, the caller waited {told['waited_s']:.1f} s",
        flush=True,
    )
    return worst[0], worst[1]


def main() -> int:
    """Runs the cases, prints the table."""
    parser = argparse.ArgumentParser()
    for name, default in (("half-open", 1000), ("bodies", 200), ("readers", 100), ("calls", 200), ("completions", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--app", action="store_true")
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--storm", type=int, default=100)
    given = parser.parse_args()
    crowd = {"half": given.half_open, "body": given.bodies, "read": given.readers}
    cases = [("among strangers", crowd, 1.0), ("in a storm", {"storm": given.storm}, 0.0)]
    if given.app:
        cases.append(("among WebSockets", {"socket": given.sockets}, 1.0))
    bad = False
    print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{'seconds per call':34} {'median':>8} {'p95':>8} {'longest':>8} {'connecting':>10}")
    with served(app=given.app) as (port, pid):
        _, plain_s = measured("alone", port, pid, given.calls, given.completions)
        before = memory_mb(pid)
        for name, wanted, again_s in cases:
            dropped = overflows()
            strangers = part("strangers", port, json.dumps(wanted), again_s)
            with Watch(pid) as watch:
                time.sleep(3)
                models_s, completions_s = measured(name, port, pid, given.calls, given.completions)
                told = json.loads(strangers.communicate("")[0])
            grown = watch.most_mb - before
            print(
                f"  memory {before:.0f} MB, at most +{grown:.0f} MB; {told['opened']} connections of strangers, "
                f"{told['upgraded']} WebSockets, {overflows() - dropped} dropped by the system",
                flush=True,
            )
            bad = bad or grown > MOST_MB or models_s >= MOST_S or completions_s - plain_s >= MOST_S
    print(f"load {os.getloadavg()[0]:.1f}")
    return int(bad)


if __name__ == "__main__":
    if sys.argv[1:2] == ["caller"]:
        be_caller(*map(int, sys.argv[2:]))
    elif sys.argv[1:2] == ["strangers"]:
        be_strangers(int(sys.argv[2]), json.loads(sys.argv[3]), float(sys.argv[4]))
    else:
        sys.exit(main())
