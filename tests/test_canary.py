"""The canary: whatever a gateway echoes of our keys is found on no surface of the product."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from echoing_gateway import MODELS, EchoingGateway

from canary import KEYS, leaks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import json, os, sqlite3, sys
from assay.cli import main
def by_name(word):
    if word[:1] != "@":
        return word
    database = sqlite3.connect(os.environ["ASSAY_DATABASE_URL"].removeprefix("sqlite:///"))
    return database.execute("SELECT id FROM run WHERE name = ?", [word[1:]]).fetchone()[0]
for words in json.load(open(sys.argv[1])):
    sys.argv = ["assay", *map(by_name, words)]
    for stream in (sys.stdout, sys.stderr):
        print("$", *words, file=stream, flush=True)
    try:
        main()
    except SystemExit as ended:
        print("exit", ended.code, file=sys.stderr, flush=True)
"""
FORMATS = (
    "evidence.html",
    "csv",
    "tidy.csv",
    "wide.csv",
    "xlsx",
    "jsonl",
    "promptfoo.json",
    "junit.xml",
    "archive.jsonl",
    "md",
)


def environment(folder: Path, gateway: EchoingGateway, *, attempts: int) -> dict[str, str]:
    """A process that holds a key of every kind, all of which the gateway knows."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_", "OTEL_"))}
    local = {"name": "local", "base_url": gateway.base_url, "key_variable": "LOCAL_KEY"}
    return clean | {
        "OPENROUTER_API_KEY": KEYS["key"],
        "OPENROUTER_MANAGEMENT_KEY": KEYS["management"],
        "OPENROUTER_BASE_URL": gateway.base_url,
        "ASSAY_API_TOKEN": KEYS["token"],
        "LOCAL_KEY": KEYS["endpoint"],
        "ASSAY_ENDPOINTS": json.dumps([local]),
        "ASSAY_DATABASE_URL": f"sqlite:///{folder}/a.db",
        "ASSAY_PROBE_WAITS_S": "[0.01, 0.01, 0.01]",
        "ASSAY_BATCH_POLL_S": "0.05",
        "ASSAY_MAX_ATTEMPTS": str(attempts),
        "OTEL_TRACES_EXPORTER": "console",
    }


class Walked(NamedTuple):
    """What a walk through the command line left behind."""

    folder: Path
    gateway: EchoingGateway
    out: str
    err: str


def commands() -> list[list[str]]:
    """Every command that asks the gateway or prints results."""
    ask = [
        "--prompt",
        "Say {{q}}",
        "--grader",
        "contains",
        "--grader",
        "judge:model=t/text,rubric=good",
        "--allow-unknown",
    ]
    models = [word for name in MODELS for word in ("--model", f"t/{name}")]
    outs = [word for ending in FORMATS for word in ("--out", f"run.{ending}")]
    text, as_json = (
        ["--log-file", f"calls.{kind}", "--log-level", "DEBUG", "--log-format", kind] for kind in ("text", "json")
    )
    debug = ["--log-level", "DEBUG"]
    ask += ["--limit", "1"]
    return [
        [*debug, "run", "d.csv", *ask, *models, "--model", "local/t/text", "--model", "local/t/refused", "--name", "A"],
        [*text, "run", "d.csv", *ask, *models, "--name", "B", "--json", *outs],
        [*as_json, "run", "d.csv", *ask, "--model", "t/text", "--model", "t/refused", "--name", "C", "--mode", "batch"],
        [*as_json, "run", "d.csv", *ask, "--model", "t/mid", "--model", "t/unwell", "--name", "D"],
        *(
            [*debug, name, *words]
            for name, *words in (
                ["show", "@A"],
                ["show", "@B", "--json"],
                ["show", "@C"],
                ["runs"],
                ["runs", "--json"],
                ["spend", "--recover"],
                ["spend", "--json"],
                ["settle", "--nothing"],
                ["models"],
                ["models", "t/text", "--json"],
                ["doctor"],
                ["compare", "A", "B"],
                ["compare", "A", "B", "--json"],
                ["price", "t/text"],
                ["continue", "@A"],
                ["doctor", "--live", "--yes", "--model", "t/text"],
                ["show", "none"],
            )
        ),
        *(["export", "@A", "--out", "-", "--format", kind] for kind in ("csv", "jsonl", "markdown")),
    ]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """The command line's walk, in a process of its own."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "d.csv").write_text("q,gold\none,key\ntwo,CANARY\n")
    (folder / "words.json").write_text(json.dumps(commands()))
    with EchoingGateway(KEYS) as gateway:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "words.json"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            env=environment(folder, gateway, attempts=2),
            check=False,
        )
        yield Walked(folder, gateway, done.stdout, done.stderr)


def test_walk_goes_every_way(walked: Walked) -> None:
    """The gateway was asked for everything that it has, and the commands did what they are for."""
    asked = {path.removeprefix("/api/v1/").partition("/")[0] for path in walked.gateway.asked}

    assert {"models", "chat", "batches", "key", "credits"} <= asked
    assert "Traceback" not in walked.err
    assert walked.out.count("$ ") >= len(commands())
    assert (walked.folder / "calls.text").stat().st_size > 1000
    assert (walked.folder / "calls.json").stat().st_size > 1000


def test_terminal_holds_no_key(walked: Walked) -> None:
    """Standard output and error of all commands, with logs at DEBUG and OpenTelemetry's spans among them."""
    assert "gen_ai.request.model" in walked.out
    assert leaks(walked.out) == []
    assert leaks(walked.err) == []


def test_files_hold_no_key(walked: Walked) -> None:
    """Database, its log, every export, log files."""
    found = {path.name: leaks(part) for path in walked.folder.rglob("*") for part in contents(path)}

    assert {name: leak for name, leak in found.items() if leak} == {}
    assert {f"run.{ending}" for ending in FORMATS} <= found.keys()


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a workbook's unpacked too."""
    if path.is_file():
        yield path.read_bytes()
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
            yield from (packed.read(name) for name in packed.namelist())


ASK = {"messages": [{"role": "user", "content": "x"}]}
CALLERS = "sk-or-v1-ca11er5own0000000CANARY1111222233334444555566667777888899990000"
"""What somebody sends to the service in place of its token."""


def asked() -> Iterator[tuple[str, str, dict[str, Any] | None, str]]:
    """Requests of every path: what for, where, the body, the token."""
    token = KEYS["token"]
    for path in (
        "models",
        "v1/models",
        "v1/models/t/text",
        "v1/model/t/text",
        "v1/models/t/text/endpoints",
        "docs",
        "openapi.json",
        "health",
        "v1/none",
    ):
        yield "GET", path, None, token
        yield "GET", path, None, CALLERS
    for model in (*(f"t/{name}" for name in MODELS), "local/t/text", "local/t/unwell", "t/none"):
        body = ASK | {"model": model}
        for path in ("completions", "completions/stream", "v1/chat/completions"):
            yield "POST", path, body, token
        yield "POST", "v1/chat/completions", body | {"stream": True}, token
        for stream in (False, True):
            yield "POST", "v1/responses", {"model": model, "input": "x", "stream": stream}, token
    yield "POST", "v1/embeddings", {"model": "t/text", "input": "x"}, token
    yield "POST", "v1/chat/completions", ASK | {"model": "t/text"}, CALLERS
    yield "POST", "v1/chat/completions", {"model": 5}, token


def answered(port: int, method: str, path: str, body: dict[str, Any] | None, token: str) -> bytes:
    """All bytes of the service's answer, headers included."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} /api/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    parts = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + content)
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@contextmanager
def serving(folder: Path, gateway: EchoingGateway) -> Iterator[int]:
    """The port of `assay serve`, whose output and log are files."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--log-level", "DEBUG", "--log-file", "calls.log", "serve", "--port", str(port)]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "assay", *words],
            cwd=folder,
            stdout=said,
            stderr=said,
            env=environment(folder, gateway, attempts=1),
        )
    try:
        end = time.monotonic() + 60
        while "http://" not in (folder / "said.txt").read_text():
            assert time.monotonic() < end, (folder / "said.txt").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_service_says_no_key(tmp_path: Path) -> None:
    """Answers of every path, plain, streamed, errors; its log at DEBUG, its database; the caller's wrong token too."""
    with EchoingGateway(KEYS) as gateway, serving(tmp_path, gateway) as port:
        answers = {f"{n} {one[:3]}": answered(port, *one) for n, one in enumerate(asked())}

    assert {about: leak for about, answer in answers.items() if (leak := leaks(answer))} == {}
    assert sum(b" 200 OK" in answer for answer in answers.values()) > 40
    left = [part for path in tmp_path.rglob("*") for part in contents(path)]
    assert [leak for part in left for leak in leaks(part)] == []
    assert not [part for part in (*left, *answers.values()) if CALLERS[9:21].encode() in part]
