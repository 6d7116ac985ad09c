"""A gateway that says every key it was sent, and every one it was told of, in each place of each of its answers.

    with EchoingGateway(KEYS) as gateway: ... Gateway("openrouter", gateway.base_url, SecretStr(KEYS["key"]))

The model id picks the way: `t/text`, `t/plain`, `t/tools`, `t/refused`, `t/broken`, `t/cut`, `t/mid`, `t/unwell`.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

MODELS = ("text", "tools", "refused", "broken", "cut", "mid", "unwell")
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.0001}


def written(secret: str) -> str:
    """A key in the ways in which a debug page quotes headers: as it is, cut short, in base64, hex and percents."""
    raw = secret.encode()
    packed = base64.b64encode(b"Bearer " + raw).decode()
    percents = "".join(f"%{byte:02x}" for byte in raw)
    return f"Bearer {secret} | {secret[:-9]} | {packed} | {raw.hex()} | {percents} | {quote(secret, safe='')}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    @property
    def echo(self) -> str:
        """All keys in all ways, those of this request too."""
        sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = {sent, *self.server.keys.values()} - {""}
        return " ; ".join(written(secret) for secret in sorted(known))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        self.server.asked.append(path)
        if "/batches/" in path:
            self._json(self._batch(name, done=True))
        elif path.endswith("/endpoints"):
            self._json({"data": self._row("t/text") | {"endpoints": [self._endpoint()]}})
        else:
            known = {"key": self._key, "credits": self._credits, "generation": self._generation}
            self._json({"data": known[name]()} if name in known else {"data": self._rows(name), "total_count": None})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.path)
        if self.path.endswith("/batches"):
            self.server.batches["b1"] = body
            self._json(self._batch("b1", done=False))
            return
        if self.path.endswith("/embeddings"):
            self._json({"data": [{"embedding": [0.5], "object": self.echo}], "model": self.echo, "usage": USAGE})
            return
        way = body["model"].rpartition("/")[2]
        if way in ("refused", "unwell"):
            self._json({"error": self._error(400 if way == "refused" else 502)}, 400 if way == "refused" else 502)
        elif not body.get("stream"):
            self._json(self._answer(way))
        else:
            self._stream(way)

    def _key(self) -> dict[str, Any]:
        return {"label": self.echo, "limit": 10, "usage": 1, self.echo: self.echo, "rate_limit": {"note": self.echo}}

    def _credits(self) -> dict[str, Any]:
        return {"total_credits": 10, "total_usage": 1, "note": self.echo}

    def _generation(self) -> dict[str, Any]:
        return {"id": self.echo, "total_cost": 0.0001, "provider_name": self.echo, "model": self.echo}

    def _rows(self, name: str) -> list[dict[str, Any]]:
        if name == "activity":
            return [{"date": "2026-11-01", "model": self.echo, "provider_name": self.echo, "usage": 1, "requests": 1}]
        if name == "providers":
            return [{"name": self.echo, "slug": self.echo, "privacy_policy_url": self.echo}]
        if name == "zdr":
            return [self._endpoint()]
        return [self._row(f"t/{way}") for way in MODELS]

    def _row(self, model: str) -> dict[str, Any]:
        return {
            "id": model,
            "name": f"{model} {self.echo}",
            "description": self.echo,
            "context_length": 8000,
            "canonical_slug": self.echo,
            "hugging_face_id": self.echo,
            self.echo: self.echo,
            "pricing": {"prompt": "0.000001", "completion": "0.000002", "note": self.echo},
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "tokenizer": self.echo},
            "supported_parameters": ["temperature", "max_tokens", "tools", self.echo],
            "top_provider": {"context_length": 8000, "max_completion_tokens": 4000, "is_moderated": False},
        }

    def _endpoint(self) -> dict[str, Any]:
        return {
            "name": self.echo,
            "provider_name": self.echo,
            "tag": self.echo,
            "quantization": self.echo,
            "status": 0,
            "model_name": self.echo,
            "context_length": 8000,
            "pricing": {"prompt": "0.000001"},
            "supported_parameters": ["temperature", "max_tokens", "tools"],
            "uptime_last_30m": 99,
        }

    def _error(self, code: int) -> dict[str, Any]:
        attempts = [{"provider": self.echo, "status": 500, "error": self.echo}]
        about = {"provider_name": self.echo, "raw": self.echo, "previous_errors": attempts, "reasons": [self.echo]}
        return {"code": code, "message": f"No: {self.echo}", "metadata": about}

    def _answer(self, way: str) -> dict[str, Any]:
        calls = [{"id": self.echo, "type": "function", "function": {"name": self.echo, "arguments": self.echo}}]
        message = {"content": f"Your key: {self.echo}", "reasoning": self.echo, "refusal": None}
        message |= {"tool_calls": calls, "content": None} if way == "tools" else {}
        return {
            "id": self.echo,
            "model": self.echo,
            "provider": self.echo,
            "system_fingerprint": self.echo,
            "choices": [{"message": message, "finish_reason": self.echo, "native_finish_reason": self.echo}],
            "usage": USAGE | {"cost_details": {self.echo: self.echo}, "note": self.echo},
            "openrouter_metadata": {"attempts": [{"provider": self.echo, "status": self.echo}]},
        }

    def _chunks(self, way: str) -> Iterator[dict[str, Any]]:
        about = {"id": self.echo, "model": self.echo, "provider": self.echo}
        whole = self._answer(way)
        said = whole["choices"][0]["message"]
        for text in (said["content"] or "", said["reasoning"]):
            name = "content" if text == said["content"] else "reasoning"
            for place in range(0, len(text), 53):  # a key comes in pieces
                yield {"choices": [{"delta": {name: text[place : place + 53]}}]} | (about if place == 0 else {})
        for call in said.get("tool_calls", ()):
            yield about | {"choices": [{"delta": {"tool_calls": [{"index": 0, **call}]}}]}
        if way == "mid":
            yield about | {"error": self._error(502), "choices": [{"delta": {}, "finish_reason": "error"}]}
        elif way not in ("broken", "cut"):
            end = {"delta": {}, "finish_reason": self.echo, "native_finish_reason": self.echo}
            yield about | {"choices": [end]}
            yield whole | {"choices": []}
        elif way == "cut":
            yield about | {"choices": [{"delta": {}, "finish_reason": "length"}], "usage": whole["usage"]}

    def _stream(self, way: str) -> None:
        self._head(200, "text/event-stream", None)
        self.wfile.write(f": {self.echo}\n\nevent: {self.echo}\nid: {self.echo}\n".encode())
        for chunk in self._chunks(way):
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n" if way != "broken" else f"data: {self.echo}".encode())
        self.close_connection = True

    def _batch(self, name: str, *, done: bool) -> dict[str, Any]:
        asked = self.server.batches.get(name, {"requests": []})["requests"]
        results = [
            {"custom_id": one["custom_id"], "response": {"status_code": 200, "body": self._answer("text")}}
            if number % 2
            else {"custom_id": one["custom_id"], "error": self._error(502)}
            for number, one in enumerate(asked)
        ]
        return {
            "id": name,
            "model": self.echo,
            "status": "completed" if done else "validating",
            "created_at": 1,
            "request_counts": {"total": len(asked)},
            self.echo: self.echo,
            "results": results if done else None,
        }

    def _head(self, status: int, kind: str, size: int | None) -> None:
        self.send_response(status, quote(self.echo))
        self.send_header("Content-Type", kind)
        echo = self.echo
        for name in ("X-Generation-Id", "X-Request-Id", "X-Echo", "Server", "Set-Cookie", "Retry-After"):
            self.send_header(name, "0" if name == "Retry-After" else echo)
        self.send_header(*(("Connection", "close") if size is None else ("Content-Length", str(size))))
        self.end_headers()

    def _json(self, value: Mapping[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        self._head(status, "application/json", len(data))
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    keys: Mapping[str, str]
    batches: dict[str, dict[str, Any]]
    asked: list[str]

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error."""


class EchoingGateway:
    """The gateway, in a thread of its own; `asked` holds the paths that it was asked for."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self.asked: list[str] = []

    def __enter__(self) -> EchoingGateway:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.keys, self._server.batches, self._server.asked = self._keys, {}, self.asked
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
