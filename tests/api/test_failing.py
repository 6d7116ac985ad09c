"""Failures of the gateway as our callers see them: the status says whose fault it is, plain or streamed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError, OpenAI
from pydantic import SecretStr
from service_driver import ASK, AUTH, TOKEN, calls, gateway_service, service

from assay.config import Gateway
from assay.openrouter.failures import TREATMENT, failure_of
from assay.sandbox import Fault
from assay.sandbox.config import FaultKind

ROUTES = [
    ("/completions", {}),
    ("/completions/stream", {}),
    ("/v1/chat/completions", {}),
    ("/v1/chat/completions", {"stream": True}),
    ("/v1/responses", {}),
    ("/v1/responses", {"stream": True}),
]


def post(url: str, path: str, more: dict[str, Any]) -> httpx.Response:
    """A small request on a route."""
    asked = {"model": ASK["model"], "input": "x", **more} if "responses" in path else {**ASK, **more}
    return httpx.post(f"{url}{path}", json=asked, headers=AUTH, timeout=60)


FAULTS: list[tuple[FaultKind, int]] = [
    ("400", 400),
    ("401", 502),
    ("402_credits", 402),
    ("402_too_big", 402),
    ("403_moderation", 403),
    ("403_guardrail", 403),
    ("403_key_limit", 402),
    ("404", 404),
    ("429", 429),
    ("free_day", 429),
    ("500", 500),
    ("502_html", 502),
    ("503", 503),
    ("524_html", 504),
    ("reset", 502),
    ("error_in_200", 502),
    ("first_event_error", 502),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS)
def test_failure_has_its_own_status_on_every_route(tmp_path: Path, fault: FaultKind, status: int) -> None:
    """Never 200 with an error inside, never a 401 that is about our key; told in words that are true."""
    with service(tmp_path, Fault(fault, retry_after_s=1), max_attempts=1) as (url, session):
        for path, more in ROUTES:
            answer = post(url, path, more)

            assert (path, more, answer.status_code) == (path, more, status)
            error = answer.json()["error"]
            assert error["code"] == status
            assert error["message"]
            assert "retried" not in answer.text
        assert {call.outcome for call in calls(session)} == {"failed"}


@pytest.mark.parametrize("stream", [False, True])
def test_metadata_of_a_moderation_reaches_the_caller(tmp_path: Path, stream: bool) -> None:
    """Reasons and provider, for the caller's own prompt."""
    with service(tmp_path, Fault("403_moderation")) as (url, _):
        answer = post(url, "/v1/chat/completions", {"stream": stream})

    assert answer.status_code == 403
    assert answer.json()["error"]["metadata"]["reasons"] == ["violence"]
    assert "user_id" not in answer.text


def test_upstream_401_does_not_blame_the_callers_token(tmp_path: Path) -> None:
    """It says whose key it is, names the gateway's status, and official SDKs do not send again."""
    with service(tmp_path, Fault("401")) as (url, session), OpenAI(base_url=f"{url}/v1", api_key=TOKEN) as sdk:
        with pytest.raises(APIStatusError) as told:
            sdk.chat.completions.create(**ASK)

        assert told.value.status_code == 502
        assert "OPENROUTER_API_KEY" in told.value.message
        assert told.value.response.json()["error"]["metadata"]["upstream_status"] == 401
        assert len(calls(session)) == 1


def test_error_before_the_first_event_is_tried_again(tmp_path: Path) -> None:
    """Signs of life alone are no answer: the caller gets the second try's stream, whole."""
    fault = Fault("first_event_error", rate=0.5)
    with service(tmp_path, fault) as (url, session):
        answers = [post(url, "/v1/chat/completions", {"stream": True, "seed": seed}) for seed in range(8)]

        assert [answer.status_code for answer in answers] == [200] * 8
        assert all(answer.text.rstrip().endswith("data: [DONE]") for answer in answers)
        assert all('"error"' not in answer.text for answer in answers)
        assert {call.outcome for call in calls(session)} == {"ok", "failed"}


def test_model_that_is_paused_for_long_is_refused_at_once(tmp_path: Path) -> None:
    """The gateway asked for five minutes: the next caller is told so and not kept waiting."""
    with service(tmp_path, Fault("429", retry_after_s=300)) as (url, session):
        first = post(url, "/completions", {})
        second = post(url, "/v1/chat/completions", {"stream": True})

        assert (first.headers["retry-after"], first.status_code) == ("300", 429)
        assert second.status_code == 429
        assert 290 <= int(second.headers["retry-after"]) <= 300
        assert len(calls(session)) == 1


@pytest.mark.parametrize("fault", ["truncated", "malformed_chunk"])
def test_stream_that_breaks_after_its_beginning_says_so_in_a_chunk(tmp_path: Path, fault: FaultKind) -> None:
    """200 has gone out: the error is the last event, in the words of each interface."""
    with service(tmp_path, Fault(fault), max_attempts=1) as (url, session):
        chat = post(url, "/completions/stream", {})
        responses = post(url, "/v1/responses", {"stream": True})

        assert (chat.status_code, responses.status_code) == (200, 200)
        assert json.loads(chat.text.rstrip().rsplit("data: ", 1)[1])["error"]["message"]
        assert json.loads(responses.text.rstrip().rsplit("data: ", 1)[1])["type"] == "response.failed"
        assert {call.outcome for call in calls(session)} == {"failed"}


@pytest.mark.parametrize("kind", list(TREATMENT))
def test_no_failure_promises_a_retry(kind: Any) -> None:
    """What a failure says is said when nothing more is tried."""
    assert "retried" not in str(failure_of(kind))


@contextmanager
def gateway_that_answers(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """The base URL of a gateway that answers every completion the same."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def reply(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.reply(200, b'{"data": []}', Content_Type="application/json")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.reply(status, body, **headers)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("upstream", "body", "status"),
    [
        (302, b"", 502),
        (307, b"", 502),
        (401, b"<html>", 502),
        (403, b"", 502),
        (407, b"", 502),
        (408, b"", 504),
        (410, b"{}", 400),
        (418, b"", 502),
        (431, b"", 502),
        (499, b"", 502),
        (520, b"x", 502),
        (522, b"", 502),
        (524, b"", 504),
        (529, b"{}", 503),
        (599, b"", 502),
        (204, b"", 502),
        (200, b"", 502),
        (200, b"[]", 502),
        (200, b'{"error": {"code": 401, "message": "no"}}', 502),
        (200, b'{"error": {"code": 429, "message": "x"}}', 429),
        (400, b'{"error": {"code": 999, "message": 5}}', 400),
        (400, b'{"error": "text"}', 400),
        (500, b'{"error": {"code": 200, "message": "fine"}}', 500),
        (404, b"\xff\xfe", 404),
    ],
)
def test_odd_answer_of_a_gateway_becomes_an_error_in_words(
    tmp_path: Path, upstream: int, body: bytes, status: int
) -> None:
    """Redirects, strange statuses, bodies that are no error: one shape, and never a success."""
    with gateway_that_answers(upstream, body, Location="http://127.0.0.1:1/") as base:
        gateway = Gateway("openrouter", base, SecretStr("sk-or-v1-canary"))
        with gateway_service(tmp_path, gateway, max_attempts=1) as (url, _):
            for path, more in ROUTES:
                answer = post(url, path, more)
                assert (path, answer.status_code) == (path, status)
                assert answer.json()["error"]["code"] == status
                assert answer.json()["error"]["message"]
