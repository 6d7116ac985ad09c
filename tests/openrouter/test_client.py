"""The client against the sandbox over real HTTP, and its parts on their own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.domain.completion import Completion, Usage
from assay.domain.messages import CompletionRequest, Message
from assay.errors import SettingsError
from assay.money import to_pico
from assay.openrouter.bounds import bound_pico
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed, classify_http, failure_of
from assay.openrouter.hints import retry_after_s
from assay.openrouter.pacing import Pacer
from assay.openrouter.parameters import modern_settings
from assay.openrouter.pricing import estimate_cost, parse_pricing
from assay.openrouter.retry import RetryPolicy
from assay.openrouter.sse import SSEReader
from assay.openrouter.transport import checked_base_url
from assay.sandbox import Fault, SandboxConfig, SandboxServer

KEY = "sk-or-v1-CANARY"
ASK = CompletionRequest("sandbox/scribe", (Message("user", "Explain databases at length"),))


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """A fast sandbox."""
    with SandboxServer(SandboxConfig(speed=0)) as running:
        yield running


def attempt(
    server: SandboxServer, request: CompletionRequest = ASK, *, stream: bool = True, **more: float
) -> Completion:
    """One attempt."""

    async def ask() -> Completion:
        client = Client(Gateway("sandbox", server.base_url, SecretStr(KEY)), Settings(**more))  # type: ignore[arg-type]
        try:
            return await client.attempt(request, stream=stream)
        finally:
            await client.aclose()

    return asyncio.run(ask())


def test_stream_and_plain_answer_alike(server: SandboxServer) -> None:
    """Streamed or not, text, cost and finish reason are the same."""
    streamed, plain = attempt(server), attempt(server, stream=False)

    assert streamed.text == plain.text != ""
    assert streamed.cost == plain.cost
    assert streamed.cost.provenance == "billed"
    assert streamed.finish_reason == "stop"
    assert streamed.first_token_ms is not None


def test_answer_is_the_same_every_time(server: SandboxServer) -> None:
    """The sandbox is deterministic per model, messages and seed."""
    other = CompletionRequest(ASK.model, ASK.messages, {"seed": 7})

    assert attempt(server).text == attempt(server).text
    assert attempt(server, other).text == attempt(server, other).text


def test_cost_is_exact_by_the_catalogue(server: SandboxServer) -> None:
    """What the sandbox bills is the arithmetic of its endpoint's price."""
    found = attempt(server)
    assert found.usage is not None
    price = parse_pricing({"prompt": "0.0000008", "completion": "0.000004"})

    assert estimate_cost(price, found.usage).pico == found.cost.pico


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("kind", "expected", "billed"),
    [
        ("429", "rate_limit_provider", "no"),
        ("429_plain", "rate_limit_provider", "no"),
        ("free_day", "rate_limit_free_day", "no"),
        ("500", "server", "no"),
        ("502_html", "provider_unavailable", "no"),
        ("503", "overloaded", "no"),
        ("524_html", "timeout", "unknown"),
        ("400", "bad_request", "no"),
        ("401", "authentication", "no"),
        ("402_credits", "credits", "no"),
        ("402_in_flight", "in_flight_budget", "no"),
        ("402_too_big", "credits", "no"),
        ("403_moderation", "moderation", "no"),
        ("403_guardrail", "guardrail", "no"),
        ("403_key_limit", "key_limit", "no"),
        ("404", "not_found", "no"),
        ("reset", "reset", "unknown"),
        ("error_in_200", "provider_unavailable", "no"),
    ],
)
def test_fault_has_its_kind(kind: str, expected: str, billed: str, stream: bool) -> None:
    """Every fault is told apart by its typed fields, with words and a cure, and without the key."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault(kind),))) as server, pytest.raises(GatewayFailed) as caught:  # type: ignore[arg-type]
        attempt(server, stream=stream)
    failure = caught.value.failure

    assert (failure.kind, failure.billed) == (expected, billed)
    assert failure.message
    assert failure.cure
    assert KEY not in str(failure)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("truncated", "truncated"),
        ("malformed_chunk", "malformed"),
        ("mid_stream_error", "provider_unavailable"),
        ("first_event_error", "provider_unavailable"),
        ("giant", "too_large"),
    ],
)
def test_broken_stream_is_a_failure_that_keeps_its_text(kind: str, expected: str) -> None:
    """A stream that does not end well is never a success; what had arrived is kept."""
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault(kind),))) as server, pytest.raises(GatewayFailed) as caught:  # type: ignore[arg-type]
        attempt(server)

    assert caught.value.failure.kind == expected
    assert caught.value.generation_id
    if kind in ("truncated", "mid_stream_error"):
        assert caught.value.partial is not None
        assert caught.value.partial.text


def test_silent_provider_meets_the_first_token_timer() -> None:
    """Comments do not count as tokens: a stalled provider ends at the timer."""
    with (
        SandboxServer(SandboxConfig(speed=0, faults=(Fault("stall"),))) as server,
        pytest.raises(GatewayFailed) as caught,
    ):
        attempt(server, first_token_timeout_s=0.3)

    assert caught.value.failure.kind == "first_token_timeout"
    assert caught.value.failure.billed == "unknown"


def test_dead_gateway_is_unbilled_and_said_in_words() -> None:
    """Nothing listens: a connection failure that cannot have cost anything."""
    with SandboxServer() as server:
        pass
    with pytest.raises(GatewayFailed) as caught:
        attempt(server)

    assert (caught.value.failure.kind, caught.value.failure.billed) == ("connection", "no")


def test_cancelling_closes_the_connection_at_once() -> None:
    """The gateway sees the client hang up within 100 ms and bills what was produced."""

    async def go(server: SandboxServer) -> float:
        client = Client(Gateway("sandbox", server.base_url, SecretStr(KEY)), Settings())
        came = asyncio.Event()
        task = asyncio.create_task(client.attempt(ASK, on_delta=lambda *_: came.set()))
        await came.wait()
        task.cancel()
        started = time.perf_counter()
        while not server.sandbox.books.generations:  # noqa: ASYNC110 - another thread fills it
            await asyncio.sleep(0.002)
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()
        return time.perf_counter() - started

    with SandboxServer(SandboxConfig(speed=5)) as server:
        seconds = asyncio.run(go(server))
        (record,) = server.sandbox.books.generations.values()

    assert record["cancelled"] is True
    assert seconds < 0.25


@given(st.binary(max_size=300), st.integers(1, 50))
def test_sse_split_does_not_matter(noise: bytes, size: int) -> None:
    """Any bytes split in any way give the same events."""
    body = b": hi\r\n\r\ndata: \xc3\xa9\r\n\r\n" + noise + b"\n\ndata:x\ndata: y\n\n"

    def read(chunks: list[bytes]) -> list[bytes]:
        reader = SSEReader()
        return [e for chunk in chunks for e in reader.feed(chunk)] + reader.close()

    assert read([body[i : i + size] for i in range(0, len(body), size)]) == read([body])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:17:00 GMT"}, 20),
        ({"X-RateLimit-Reset": "1000000000000"}, 999_999_000),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-reset-tokens": "500ms"}, 90),
        ({"Retry-After": "7", "X-RateLimit-Reset": "1m"}, 7),
        ({}, None),
    ],
)
def test_hint_is_read_in_every_spelling(headers: dict[str, str], expected: float | None) -> None:
    """Seconds, fractions, dates, milliseconds and durations; Retry-After wins; nonsense is no hint."""
    assert retry_after_s(headers, {}, now=1000.0) == expected


def test_reset_in_metadata_counts_like_a_header() -> None:
    """The free tier's reset stands in the error's metadata only."""
    assert retry_after_s({}, {"headers": {"X-RateLimit-Reset": "1792800060000"}}, now=1792800000.0) == 60


def test_retry_gives_up_in_time() -> None:
    """No retry of what cannot succeed, past the attempts, past the total time, or for an absurd hint."""
    policy, rng = RetryPolicy(max_attempts=3, total_s=10), random.Random(1)

    assert policy.delay_s(failure_of("authentication"), attempt=1) is None
    assert 0 <= (policy.delay_s(failure_of("server"), attempt=1, rng=rng) or 0) <= 0.5
    assert policy.delay_s(failure_of("server"), attempt=3) is None
    assert policy.delay_s(failure_of("overloaded", retry_after=5), attempt=1) == 5
    assert policy.delay_s(failure_of("overloaded", retry_after=5), attempt=1, elapsed_s=6) is None
    assert policy.delay_s(failure_of("overloaded", retry_after=1e9), attempt=1) is None
    assert policy.delay_s(failure_of("empty"), attempt=2) is None


def test_pacer_grows_when_clean_and_cuts_once_on_a_429() -> None:
    """Slow start doubles; a burst of 429 cuts once per 15 s and holds the whole model."""
    now = [0.0]

    async def go() -> None:
        pacer = Pacer(clock=lambda: now[0])
        for _ in range(3):
            await asyncio.gather(*(hold(pacer) for _ in range(64)))
        grown = pacer.state("m").limit
        for _ in range(5):
            pacer.report("m", failure_of("rate_limit_provider", retry_after=4))
        cut = pacer.state("m")
        assert grown >= 32
        assert cut.limit == int(grown * 0.8)
        assert cut.paused_s == 4
        assert pacer.history("m")[-1][1] == cut.limit

    async def hold(pacer: Pacer) -> None:
        await pacer.enter("m")
        await asyncio.sleep(0)
        pacer.leave("m")
        pacer.report("m", None)

    asyncio.run(go())


def test_price_overrides_apply_strictly_above_and_within_their_window() -> None:
    """Long-context prices hold from one token more; night prices hold across midnight; later entries win."""
    price = parse_pricing(
        {
            "prompt": "0.000002",
            "completion": "0.00001",
            "input_cache_read": "0.0000002",
            "overrides": [
                {"min_prompt_tokens": 200, "prompt": "0.000004"},
                {"utc_start": 2200, "utc_end": 600, "completion": "0.000005"},
            ],
        }
    )
    day, night = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 23, tzinfo=UTC)

    assert price.at(200, day).prompt == Decimal("0.000002")
    assert price.at(201, day).prompt == Decimal("0.000004")
    assert price.at(1, night).completion == Decimal("0.000005")
    usage = Usage(1200, 150, 60, 1000)
    flat = parse_pricing({"prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002"})
    assert estimate_cost(flat, usage).pico == to_pico(Decimal("0.0021"))


def test_variable_price_is_unknown_and_never_negative() -> None:
    """A price of -1 gives no estimate and no bound."""
    price = parse_pricing({"prompt": "-1", "completion": "-1"})

    assert estimate_cost(price, Usage(10, 10)).pico is None
    assert bound_pico(price, ASK, max_completion_tokens=10) is None


@given(st.text(max_size=200), st.integers(0, 500), st.integers(0, 500))
def test_bound_is_never_below_the_cost(text: str, used: int, limit: int) -> None:
    """No tokenizer makes more tokens than bytes: the bound covers every possible bill."""
    price = parse_pricing({"prompt": "0.000003", "completion": "0.000015", "discount": 0.2})
    request = CompletionRequest("a/b", (Message("user", text),))
    usage = Usage(len(text.encode("utf-8", "replace")), min(used, limit))

    assert (bound_pico(price, request, max_completion_tokens=limit) or 0) >= (estimate_cost(price, usage).pico or 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://openrouter.ai@evil.example/v1",
        "http://openrouter.ai/api/v1",
        "ftp://x/y",
        "https://",
        "http://169.254.169.254/v1",
        "https://a.example/v1?x=1",
    ],
)
def test_unsafe_base_url_never_gets_the_key(url: str) -> None:
    """A URL that hides its host, is not encrypted or points at link-local addresses is refused with a cure."""
    with pytest.raises(SettingsError, match="base URL"):
        checked_base_url(url, has_key=True)


def test_old_settings_get_their_modern_meaning() -> None:
    """Old words are translated or answered, and never reach the wire."""
    found = modern_settings({"route": "floor", "X-Zero-Data-Retention": "true", "candidate_count": 3, "top_p": 0.5})

    assert found.provider == {"sort": "price", "zdr": True}
    assert found.params == {"top_p": 0.5}
    assert "samples" in found.messages[0]


def test_prompt_text_in_an_error_is_not_repeated() -> None:
    """Moderation quotes the prompt; our words do not."""
    body = (
        b'{"error":{"code":403,"message":"flagged: my secret prompt","metadata":{"flagged_input":"my secret prompt"}}}'
    )

    assert "secret" not in str(classify_http(403, {}, body))
