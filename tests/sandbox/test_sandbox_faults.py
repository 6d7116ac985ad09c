"""Every fault that the sandbox can be told to have, and its limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from assay.sandbox import Fault, SandboxServer

Open = Callable[..., tuple[SandboxServer, httpx.Client]]
HELLO = [{"role": "user", "content": "Explain how to plan a product launch."}]


def _ask(client: httpx.Client, model: str = "sandbox/swift", **more: Any) -> httpx.Response:
    return client.post("/chat/completions", json={"model": model, "messages": HELLO, **more})


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("429", 429, "upstream_provider_shared_pool"),
        ("429_plain", 429, "rate_limit_exceeded"),
        ("429_dated", 429, "rate_limit_exceeded"),
        ("free_day", 429, "openrouter_free_tier_daily"),
        ("500", 500, "server"),
        ("502_html", 502, "<html>"),
        ("503", 503, "provider_overloaded"),
        ("524_html", 524, "<html>"),
        ("400", 400, "invalid_request"),
        ("401", 401, "No auth credentials"),
        ("402_credits", 402, "openrouter_credits"),
        ("402_in_flight", 402, "in_flight_budget_exhausted"),
        ("402_too_big", 402, "weight_exceeds_budget"),
        ("403_moderation", 403, "content_policy_violation"),
        ("403_guardrail", 403, "patterns"),
        ("403_key_limit", 403, "openrouter_key_limit"),
        ("403_workspace_budget", 403, "openrouter_workspace_budget"),
        ("403_guardrail_budget", 403, "openrouter_guardrail_budget"),
        ("404", 404, "No endpoints found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_fault_before_the_answer_has_its_status(serve: Open, kind: Any, status: int, said: str, stream: bool) -> None:
    """Errors before the first byte are plain bodies with a real status, also when a stream was asked for."""
    server, client = serve(faults=(Fault(kind),))

    answer = _ask(client, stream=stream)

    assert answer.status_code == status
    assert said in answer.text
    assert not answer.headers["content-type"].startswith("text/event-stream")
    assert server.sandbox.books.spend == 0


def test_fault_429_carries_its_hint_or_none(serve: Open) -> None:
    """Seconds, a date, or nothing."""
    hints = [
        _ask(serve(faults=(Fault(kind, retry_after_s=3),))[1]).headers.get("retry-after")
        for kind in ("429", "429_plain", "429_dated")
    ]

    assert hints[:2] == ["3", None]
    assert parsedate_to_datetime(hints[2] or "")


@pytest.mark.parametrize("stream", [False, True])
def test_fault_reset_cuts_the_connection(serve: Open, stream: bool) -> None:
    """The connection ends without an answer."""
    _, client = serve(faults=(Fault("reset"),))

    with pytest.raises(httpx.RemoteProtocolError):
        _ask(client, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_fault_stall_times_out(serve: Open, stream: bool) -> None:
    """Nothing more comes."""
    _, client = serve(faults=(Fault("stall"),))

    with pytest.raises(httpx.ReadTimeout):
        client.post(
            "/chat/completions", json={"model": "sandbox/swift", "messages": HELLO, "stream": stream}, timeout=0.2
        )


@pytest.mark.parametrize("kind", ["error_in_200", "first_event_error", "mid_stream_error"])
def test_fault_error_inside_200_is_told_in_the_body(serve: Open, kind: Any) -> None:
    """The status is 200; the body, or an event, holds the error and no [DONE] follows."""
    server, client = serve(faults=(Fault(kind),))

    plain, stream = _ask(client), _ask(client, "sandbox/scribe", stream=True)

    assert (plain.status_code, stream.status_code) == (200, 200)
    assert plain.json()["error"]["code"] == 502
    last = json.loads(stream.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["error"]["code"] == 502
    assert last["choices"][0]["finish_reason"] == "error"
    assert last["choices"][0]["native_finish_reason"] == "error"
    assert "[DONE]" not in stream.text
    assert server.sandbox.books.spend == 0


def test_fault_truncated_ends_without_done_and_bills_the_part(serve: Open) -> None:
    """A cut stream has text, no usage and no end; what was produced is billed."""
    server, client = serve(faults=(Fault("truncated"),))

    answer = _ask(client, "sandbox/scribe", stream=True)

    assert "usage" not in answer.text
    assert "[DONE]" not in answer.text
    assert server.sandbox.books.spend > 0


def test_fault_malformed_chunk_is_no_json(serve: Open) -> None:
    """One event cannot be parsed."""
    _, client = serve(faults=(Fault("malformed_chunk"),))
    lines = [line.removeprefix("data: ") for line in _ask(client, stream=True).text.splitlines() if "data: " in line]

    with pytest.raises(json.JSONDecodeError):
        [json.loads(line) for line in lines]


def test_fault_in_the_answer_has_its_shape(serve: Open) -> None:
    """No choices, no usage, nothing at all, or a giant."""
    bodies = {
        kind: _ask(serve(faults=(Fault(kind),))[1]).json()
        for kind in ("empty_choices", "no_usage", "fabricated", "giant")
    }

    assert bodies["empty_choices"]["choices"] == []
    assert "usage" not in bodies["no_usage"]
    assert "usage" not in bodies["fabricated"]
    assert bodies["fabricated"]["choices"][0]["message"]["content"] is None
    assert len(bodies["giant"]["choices"][0]["message"]["content"]) > 8 * 1024 * 1024


@pytest.mark.parametrize("kind", ["empty_choices", "fabricated"])
def test_fault_without_an_answer_is_one_in_a_stream_too(serve: Open, kind: str) -> None:
    """The stream ends as it should and says nothing; what has no choices is billed and tells it."""
    lines = _ask(serve(faults=(Fault(kind),))[1], stream=True).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]

    assert "data: [DONE]" in lines[-2:]
    assert not any(choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"])
    assert ("usage" in chunks[-1]) == (kind == "empty_choices")


def test_fault_reasoning_ate_budget_is_billed_and_empty(serve: Open) -> None:
    """All tokens are reasoning."""
    body = _ask(serve(faults=(Fault("reasoning_ate_budget"),))[1], max_tokens=50).json()

    usage = body["usage"]
    assert body["choices"][0]["finish_reason"] == "length"
    assert not body["choices"][0]["message"]["content"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == usage["completion_tokens"] == 50


def test_fault_after_some_calls_spares_them(serve: Open) -> None:
    """`after` counts the calls to the model; other models are spared."""
    _, client = serve(faults=(Fault("402_credits", model="sandbox/swift", after=2),))

    assert [_ask(client).status_code for _ in range(4)] == [200, 200, 402, 402]
    assert _ask(client, "sandbox/scribe").status_code == 200


def test_fault_rate_is_a_share_of_the_calls(serve: Open) -> None:
    """About the rate, and the same calls each time."""
    runs = []
    for _ in range(2):
        _, client = serve(faults=(Fault("503", rate=0.3),))
        runs.append([_ask(client, seed=n).status_code for n in range(60)])

    assert runs[0] == runs[1]
    assert 8 <= runs[0].count(503) <= 28


def test_flaky_fails_often_and_the_same_request_succeeds_later(serve: Open) -> None:
    """About three in ten fail, in several ways; sending them again helps."""
    _, client = serve()

    def good(answer: httpx.Response) -> bool:
        return answer.status_code == 200 and "[DONE]" in answer.text and '"error"' not in answer.text

    first = [good(_ask(client, "sandbox/flaky", seed=n, stream=True)) for n in range(60)]
    again = [any(good(_ask(client, "sandbox/flaky", seed=n, stream=True)) for _ in range(5)) for n in range(60)]

    assert 30 <= sum(first) <= 52
    assert all(again)


def test_free_model_takes_20_a_minute(serve: Open) -> None:
    """The 21st is refused with the reset in milliseconds, in headers and metadata; a minute later it goes."""
    now = [1_792_800_000.0]
    _, client = serve(clock=lambda: now[0])

    statuses = [_ask(client, "sandbox/penny:free").status_code for _ in range(20)]
    refused = _ask(client, "sandbox/penny:free")
    now[0] += 60.5
    later = _ask(client, "sandbox/penny:free")

    assert set(statuses) == {200}
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-reset"] == "1792800060000"
    assert refused.json()["error"]["metadata"]["headers"]["X-RateLimit-Reset"] == "1792800060000"
    assert later.json()["usage"]["cost"] == 0


def test_credits_that_run_out_refuse_before_sending(serve: Open) -> None:
    """Spend never passes the credits."""
    server, client = serve(credits_usd=Decimal("0.00005"))

    statuses = [_ask(client, "sandbox/swift", seed=n).status_code for n in range(40)]

    assert 200 in statuses
    assert statuses[-1] == 402
    assert server.sandbox.books.spend <= Decimal("0.00005")


def test_generation_is_written_after_a_delay(serve: Open) -> None:
    """First 404, and without a delay the call's cost."""
    _, slow = serve(generation_delay_s=60)
    _, quick = serve()

    def look_up(client: httpx.Client) -> tuple[dict[str, Any], httpx.Response]:
        body = _ask(client).json()
        return body, client.get("/generation", params={"id": body["id"]})

    assert look_up(slow)[1].status_code == 404
    body, found = look_up(quick)
    assert found.json()["data"]["total_cost"] == body["usage"]["cost"]
    assert found.json()["data"]["cancelled"] is False


@pytest.mark.parametrize(("provider", "in_full"), [("northwind", False), ("southgate", True)])
def test_client_that_hangs_up_pays_what_its_provider_bills(serve: Open, provider: str, in_full: bool) -> None:
    """A provider that can stop bills the part, another bills everything; /generation says cancelled."""
    _, client = serve(speed=0.3)
    routing = {"only": [provider]}
    whole = _ask(client, "sandbox/scribe", provider=routing, max_tokens=80).json()["usage"]["completion_tokens"]
    body = {"model": "sandbox/scribe", "messages": HELLO, "stream": True, "provider": routing, "max_tokens": 80}
    with client.stream("POST", "/chat/completions", json=body) as answer:
        next(line for line in answer.iter_lines() if line.startswith("data: "))
        generation_id = answer.headers["X-Generation-Id"]

    found = _eventually(client, generation_id)

    assert found["cancelled"] is True
    assert (found["native_tokens_completion"] == whole) is in_full
    assert 0 < found["native_tokens_completion"] <= whole


def _eventually(client: httpx.Client, generation_id: str) -> dict[str, Any]:
    for _ in range(500):
        answer = client.get("/generation", params={"id": generation_id})
        if answer.status_code == 200:
            return dict(answer.json()["data"])
    raise AssertionError("no record of the cancelled generation")


def test_stats_count_what_was_paid_twice(serve: Open) -> None:
    """Tests can read calls, spend and duplicates."""
    server, client = serve()
    for seed in (1, 2, 2):
        _ask(client, seed=seed)

    stats = client.get(server.base_url.removesuffix("/api/v1") + "/sandbox/stats").json()

    assert stats["calls"] == {"sandbox/swift": 3}
    assert (stats["paid_calls"], stats["paid_twice"]) == (3, 1)
    assert stats["spend"] == float(server.sandbox.books.spend)


def test_fixed_latency_is_the_whole_duration(serve: Open) -> None:
    """Every answer takes that long, whatever its model and length."""
    _, client = serve(fixed_latency_ms=30)

    assert _ask(client, "sandbox/scribe").elapsed.total_seconds() >= 0.03
    assert _ask(client, "sandbox/scribe").elapsed.total_seconds() < 1
