"""A small gateway whose answers are odd in ways that were met in the field; the model id picks the behaviour.

    with OddGateway() as gateway: ... Client(Gateway("openrouter", gateway.base_url), ...)

`gateway.scripts[model]` is what a model sends: chunks as JSON objects or as bytes of an event's data, a Close, or a
function of the request's body that returns such a list. `gateway.calls` holds the bodies of all completions asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Chunk = dict[str, Any] | bytes
Script = Sequence[Chunk] | Callable[[dict[str, Any]], Sequence[Chunk]]
DONE = b"[DONE]"
UPSTREAM = {
    "upstream_inference_cost": 0.0360795,
    "upstream_inference_prompt_cost": 0.0343845,
    "upstream_inference_completions_cost": 0.001695,
}


def usage(**changed: Any) -> dict[str, Any]:
    """A usage block."""
    return {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cost": 0.00014} | changed


def delta(finish: str | None = None, **said: Any) -> dict[str, Any]:
    """A chunk with one delta."""
    choice = {"index": 0, "delta": {"role": "assistant", **said}, "finish_reason": finish}
    return {"choices": [choice | {"native_finish_reason": finish}]}


def end(finish: str | None = "stop", **used: Any) -> list[Chunk]:
    """The terminal chunk, the usage chunk and [DONE], as OpenRouter sends them."""
    return [delta(finish, content=""), delta(finish, content="") | {"usage": usage(**used)}, DONE]


def tool(index: int | None, call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    """A chunk with a fragment of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields = (("index", index), ("id", call_id), ("type", "function"), ("function", function))
    return delta(content=None, tool_calls=[{key: value for key, value in fields if value is not None}])


def echo(body: dict[str, Any]) -> list[Chunk]:
    """Says what follows SAY: in the last message."""
    said = body["messages"][-1]["content"]
    return [delta(content=said.partition("SAY:")[2] or "OK"), *end()]


SCRIPTS: dict[str, Script] = {
    "t/echo": echo,
    "t/byok": [delta(content="Paris"), *end(cost=0, is_byok=True, cost_details=UPSTREAM)],
    "t/nofinish": [delta(content="Paris"), delta(content="") | {"usage": usage()}, DONE],
    "t/nodone": [delta(content="Paris"), *end()[:-1]],
    "t/usageonly": [delta(content="Paris"), {"choices": [], "usage": usage()}],
    "t/doneonly": [delta(content="Paris"), DONE],
    "t/finishonly": [delta(content="Paris"), delta("stop", content="")],
    "t/refusal": [delta(content="", refusal="I cannot "), delta(refusal="help."), *end("content_filter")],
    "t/tools": [
        tool(0, "c1", "get_weather", '{"city":"Lima"}'),
        tool(0, "c2", "get_weather", '{"city":"Oslo"}'),
        *end("tool_calls"),
    ],
    "t/think": [delta(content="<think>\nIs it 41 or 43? No.\n</think>\n\nIt is 42."), *end()],
    "t/lenempty": [delta(content="", reasoning="Let me think about it at length..."), *end("length")],
    "t/emptystop": [delta(content=""), *end(completion_tokens=0)],
    "t/nullcost": [delta(content="Paris"), *end(cost=None)],
    "t/negcost": [delta(content="Paris"), *end(cost=-0.5)],
    "t/strcost": [delta(content="Paris"), *end(cost="0.00014")],
    "t/usageeach": [
        delta(content="Pa") | {"usage": usage(completion_tokens=1, cost=0.000102)},
        delta(content="ris") | {"usage": usage(completion_tokens=2, cost=0.000104)},
        delta("stop", content="") | {"usage": usage(completion_tokens=2, cost=0.000106)},
        DONE,
    ],
    "t/usageeachcut": [delta(content="Pa") | {"usage": usage()}, delta(content="ris") | {"usage": usage()}],
    "t/reasoncontent": [delta(content="", reasoning_content="thinking hard"), delta(content="Paris"), *end()],
    "t/cut": [delta(content="Pa")],
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        rows = [_row(model) for model in self.server.scripts]
        if path.endswith("/models"):
            self._json({"data": rows, "total_count": len(rows), "links": {"next": None}})
        elif path.endswith("/endpoints"):
            self._json({"data": {"endpoints": []}})
        else:
            self._json({"error": {"code": 404, "message": "not found"}}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append(body)
        script = self.server.scripts[body["model"]]
        chunks = script(body) if callable(script) else script
        head = {"id": f"gen-{len(self.server.calls)}", "model": body["model"], "provider": "Odd"}
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": OPENROUTER PROCESSING\n\n")
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else json.dumps(head | chunk).encode()
            self.wfile.write(b"data: " + data + b"\n\n")
        self.close_connection = True

    def _json(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _row(model: str) -> dict[str, Any]:
    return {
        "id": model,
        "name": model,
        "context_length": 128_000,
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "supported_parameters": ["temperature", "max_tokens", "seed", "tools", "reasoning"],
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    scripts: dict[str, Script]
    calls: list[dict[str, Any]]


class OddGateway:
    """The gateway, in a thread of its own."""

    def __init__(self, **scripts: Script) -> None:
        self.scripts = {**SCRIPTS, **{f"t/{name}": script for name, script in scripts.items()}}
        self.calls: list[dict[str, Any]] = []

    def __enter__(self) -> OddGateway:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.scripts, self._server.calls = self.scripts, self.calls
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
