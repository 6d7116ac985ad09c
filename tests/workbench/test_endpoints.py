"""Further OpenAI-compatible endpoints: their models stand beside the gateway's; what they do not say is unknown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from assay.config import EndpointSetting, Gateway, Settings, endpoint_gateways
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest, Message
from assay.sandbox import SandboxConfig, SandboxServer
from assay.workbench.datasets import kept
from assay.workbench.gateway.calls import send_completion
from assay.workbench.gateway.catalogue import list_models, price_history
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session

SEEN: list[dict[str, Any]] = []


class Plain(BaseHTTPRequestHandler):
    """The least an OpenAI-compatible server answers: no usage, no cost, no provider."""

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """The list of models."""
        self._send("application/json", json.dumps({"object": "list", "data": [{"id": "llama3:8b"}]}).encode())

    def do_POST(self) -> None:
        """An answer, streamed where asked."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        SEEN.append({"body": body, "headers": {name.lower(): value for name, value in self.headers.items()}})
        if body.get("stream"):
            first = {"choices": [{"index": 0, "delta": {"content": "four"}}]}
            last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in (first, last)]
            self._send("text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode())
        else:
            answer = {"choices": [{"message": {"role": "assistant", "content": "four"}, "finish_reason": "stop"}]}
            self._send("application/json", json.dumps(answer).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A sandbox as the gateway and a plain endpoint called `local` beside it."""
    SEEN.clear()
    monkeypatch.setenv("LOCAL_KEY", "local-key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = {
        "name": "local",
        "base_url": f"http://127.0.0.1:{server.server_port}/v1",
        "key_variable": "LOCAL_KEY",
        "prices": {"*": {"prompt": "0.5", "completion": 1}},
    }
    with SandboxServer(SandboxConfig(speed=0)) as sandbox:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", endpoints=[EndpointSetting(**endpoint)])
        gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sandbox"))
        with open_session(settings, gateway=gateway) as opened:
            opened.ready()
            yield opened
    server.shutdown()
    server.server_close()


def ask(session: Session, *, stream: bool) -> Any:
    """One call to the local model."""
    routing = {"zdr": True}
    request = CompletionRequest("local/llama3:8b", (Message("user", "2+2"),), {"temperature": 0}, routing)
    return send_completion(session, request, stream=stream).result(30)


@pytest.mark.parametrize("stream", [True, False])
def test_local_model_answers_with_unknown_cost(session: Session, stream: bool) -> None:
    """Text comes; tokens and cost are unknown, not 0; the endpoint gets its own key and no routing."""
    outcome = ask(session, stream=stream)

    sent = SEEN[-1]
    assert outcome.completion.text == "four"
    assert (outcome.cost.pico, outcome.cost.provenance) == (None, "unknown")
    assert outcome.settlement.prompt_tokens is None
    assert sent["headers"]["authorization"] == "Bearer local-key"
    assert sent["body"]["model"] == "llama3:8b"
    assert "provider" not in sent["body"]
    assert not [name for name in sent["headers"] if name.startswith("x-openrouter")]


def test_local_models_stand_in_the_same_list(session: Session) -> None:
    """Beside the gateway's, with the prices of the settings and their history."""
    found = {model.id: model for model in list_models(session)}

    assert {"local/llama3:8b", "sandbox/swift"} <= set(found)
    assert found["local/llama3:8b"].prompt_usd_per_million is not None
    assert str(found["local/llama3:8b"].prompt_usd_per_million.normalize()) == "0.5"
    assert len(price_history(session, "local/llama3:8b")) == 1


def test_run_compares_local_and_gateway(session: Session) -> None:
    """One run, one contestant from each; the cost of the local one is unknown and shown apart."""
    table = kept.read_upload(session, b"q\n2+2\n3+3\n", filename="q.csv")
    dataset = kept.save_table(session, table, name="sums", source="q.csv")
    contestants = (Contestant("local/llama3:8b"), Contestant("sandbox/swift"))
    run_id = runs.start_run(session, runs.RunDraft(dataset.id, (Prompt("{{q}}"),), contestants))
    state = runs.wait_for_run(session, run_id, timeout_s=30)

    assert (state.state, state.done, state.failed) == ("done", 4, 0)
    assert state.unknown_calls == 2
    assert state.spent_pico > 0


def test_endpoint_settings_refuse_what_is_wrong() -> None:
    """A taken name, a negative price and a misspelt field are refused by name."""
    for wrong in (
        {"name": "openrouter", "base_url": "http://localhost/v1"},
        {"name": "a", "base_url": "http://localhost/v1", "prices": {"*": {"prompt": -1, "completion": 0}}},
        {"name": "a", "base_url": "http://localhost/v1", "key": "secret"},
    ):
        with pytest.raises(ValidationError):
            EndpointSetting(**wrong)  # type: ignore[arg-type]


def test_endpoints_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON list in ASSAY_ENDPOINTS; the key by its variable, never shown."""
    monkeypatch.setenv(
        "ASSAY_ENDPOINTS", '[{"name": "ollama", "base_url": "http://localhost:11434/v1", "key_variable": "K"}]'
    )
    monkeypatch.setenv("K", "very-secret")
    (gateway,) = endpoint_gateways(Settings())

    assert gateway.api_key is not None
    assert gateway.api_key.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(gateway)
