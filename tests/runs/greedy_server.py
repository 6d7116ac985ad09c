"""The greedy gateway over HTTP: a bill is booked when the request is read, whatever becomes of the answer.

A word of the question, `of-NAME`, says whose account a call is on, so that the gateway's books know runs from the rest.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from decimal import ROUND_CEILING, Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from greedy_gateway import Biller, Row, catalogue

ENDINGS = ("told", "told", "told", "own key", "broken", "dropped", "empty", "slow", "429", "failed")
VERDICT = '{"reason": "fine", "score": 1, "pass": true}'


class Books:
    """What was billed, by account and by generation."""

    def __init__(self) -> None:
        self.accounts: dict[str, Decimal] = {}
        self.generations: dict[str, Decimal] = {}
        self.dearest = Decimal(0)
        self.calls = 0
        self.lock = threading.Lock()

    @property
    def total(self) -> Decimal:
        """Of all accounts."""
        with self.lock:
            return sum(self.accounts.values(), Decimal(0))

    def of(self, account: str) -> Decimal:
        """Of one account."""
        with self.lock:
            return self.accounts.get(account, Decimal(0))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        server, (path, _, query) = self.server, self.path.partition("?")
        if path.endswith("/models"):
            self._json({"data": server.rows, "total_count": len(server.rows), "links": {"next": None}})
        elif path.endswith("/endpoints"):
            name = path.split("/models/")[1].removesuffix("/endpoints")
            self._json({"data": {"endpoints": server.endpoints.get(name, [])}})
        elif path.endswith("/generation") and (cost := server.books.generations.get(query.partition("id=")[2])):
            self._json({"data": {"total_cost": float(cost), "is_byok": False}})
        else:
            self._json({"error": {"code": 404, "message": "not found"}}, 404)

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.books.lock:
            ending = server.rng.choice(ENDINGS)
            server.books.calls += 1
            generation = f"gen-{server.books.calls}"
            found = re.search(r"of-(\w+)", json.dumps(body["messages"]))
            bill = Decimal(0)
            if ending not in ("429", "failed"):
                bill = server.biller.bill(body).quantize(Decimal(1).scaleb(-12), ROUND_CEILING)
                account = found[1] if found else ""
                server.books.accounts[account] = server.books.accounts.get(account, Decimal(0)) + bill
                server.books.generations[generation] = bill
                server.books.dearest = max(server.books.dearest, bill)
            pause = server.rng.uniform(0, 0.4 if ending == "slow" else 0.02)
        time.sleep(pause)
        try:
            self._answer(body, ending, generation, bill)
        except OSError:
            self.close_connection = True  # who asked has gone; the bill stands

    def _answer(self, body: Row, ending: str, generation: str, bill: Decimal) -> None:
        if ending == "429":
            self._json({"error": {"code": 429, "message": "slow down"}}, 429, {"Retry-After": "0"})
        elif ending == "failed":
            self._json({"error": {"code": 503, "message": "no provider"}}, 503)
        elif ending == "dropped":
            self.close_connection = True
        elif body.get("stream"):
            self._stream(body["model"], ending, generation, _usage(ending, bill))
        else:
            message = {"role": "assistant", "content": "" if ending == "empty" else VERDICT}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            usage = {} if ending == "broken" else {"usage": _usage(ending, bill)}
            self._json({"id": generation, "model": body["model"], "provider": "Greedy", "choices": choices} | usage)

    def _stream(self, model: str, ending: str, generation: str, usage: Row) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Generation-Id", generation)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        head = {"id": generation, "model": model, "provider": "Greedy"}
        said = "" if ending == "empty" else VERDICT
        self._event(head | {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]})
        if ending == "broken":
            return
        self._event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: Row) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


def _usage(ending: str, bill: Decimal) -> Row:
    """What the gateway tells of a bill: with a key of one's own, its fee and what the provider charged, apart."""
    counted: Row = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    if ending != "own key":
        return counted | {"cost": float(bill), "is_byok": False}
    fee = (bill / 21).quantize(Decimal(1).scaleb(-12))
    details = {"upstream_inference_cost": float(bill - fee)}
    return counted | {"cost": float(fee), "is_byok": True, "cost_details": details}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    rows: list[Row]
    endpoints: dict[str, list[Row]]
    biller: Biller
    books: Books
    rng: random.Random


class GreedyServer:
    """The gateway, in a thread of its own; `rows` are its models, all of which can be bounded."""

    def __init__(self, seed: int, models: int = 8) -> None:
        self._rng = random.Random(seed)
        self.rows, self.endpoints = catalogue(self._rng, models)
        for listed in [*self.rows, *(row for rows in self.endpoints.values() for row in rows)]:
            for key in ("video", "image_output", "prompt_v2"):
                listed["pricing"].pop(key, None)
        self.books = Books()

    def __enter__(self) -> GreedyServer:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.rows, self._server.endpoints, self._server.rng = self.rows, self.endpoints, self._rng
        self._server.biller, self._server.books = Biller(self.rows, self.endpoints, self._rng), self.books
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What OPENROUTER_BASE_URL would be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1"

    @property
    def paid(self) -> list[Any]:
        """Ids of the models that cost something, the cheapest first."""
        priced = [row for row in self.rows if row["pricing"]["prompt"] != "0"]
        return [row["id"] for row in sorted(priced, key=lambda row: Decimal(row["pricing"]["completion"]))]
