"""A thousand calls through a gateway that fails in eleven ways: every one ends, none is taken for what it is not."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections import Counter
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from assay.config import Gateway, Settings
from assay.domain.messages import CompletionRequest, Message
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.openrouter.pacing import Pacer
from assay.openrouter.retry import RetryBudget, RetryPolicy
from assay.runs.dispatch import CallContext, Dispatcher, Outcome
from assay.runs.prices import PriceBook
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.engine import open_store

KINDS = (
    "429",
    "429_plain",
    "429_dated",
    "500",
    "502_html",
    "503",
    "reset",
    "stall",
    "truncated",
    "malformed_chunk",
    "error_in_200",
)
CALLS = 1_000
SPREAD = ("atlas-large", "swift", "scribe", "sage", "ledger", "bard", "vista", "budget-mini")
MODELS = tuple(f"sandbox/{name}" for name in SPREAD)
CANARY = "sk-or-v1-CANARY0123456789"
SECRET_PROMPT = "the purple heron of question"


async def send_all(url: str, database: str) -> tuple[list[Outcome], list[tuple[str, str, str | None]]]:
    """The outcomes of all calls, and (state, outcome, kind of error) of the ledger's rows."""
    settings = Settings(first_token_timeout_s=1.5, silence_timeout_s=1.5)
    store = open_store(database)
    gateways = Gateways(Client(Gateway("sandbox", url, SecretStr(CANARY)), settings))
    dispatcher = Dispatcher(
        gateways=gateways,
        store=store,
        prices=PriceBook(gateways, lambda _: None),
        owner="test",
        pacer=Pacer(ceiling=64, pause_s=0.01),
        policy=RetryPolicy(base_s=0.01, cap_s=0.05),
    )

    async def one(number: int) -> Outcome:
        request = CompletionRequest(MODELS[number % len(MODELS)], (Message("user", f"{SECRET_PROMPT} {number}"),))
        outcome = await dispatcher.complete(request, CallContext(purpose="run"))
        await dispatcher.settle(outcome.settlement)
        return outcome

    outcomes = await asyncio.gather(*(one(number) for number in range(CALLS)))
    await dispatcher.aclose()
    await gateways.aclose()
    with store.read() as connection:
        rows = [tuple(row) for row in connection.execute(text("SELECT state, outcome, error_kind FROM call"))]
    store.close()
    return outcomes, rows


def test_thousand_calls_through_eleven_faults_all_end_well_told(tmp_path: Path) -> None:
    """All reach an end, no partial answer is a success, retries stay in their budget, the key is nowhere."""
    faults = tuple(Fault(kind, rate=0.2, retry_after_s=0.05) for kind in KINDS)
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    logging.getLogger("assay").setLevel(logging.DEBUG)
    try:
        with SandboxServer(SandboxConfig(speed=0, faults=faults)) as sandbox:
            outcomes, rows = asyncio.run(send_all(sandbox.base_url, f"sqlite:///{tmp_path}/assay.db"))
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("assay").setLevel(logging.NOTSET)

    kinds = Counter(outcome.failure.kind if outcome.failure else "ok" for outcome in outcomes)
    assert len(outcomes) == CALLS
    assert Counter(state for state, _, _ in rows) == {"settled": len(rows)}
    assert sum(outcome == "ok" for _, outcome, _ in rows) == kinds["ok"] > 50
    for outcome in outcomes:
        if outcome.failure is None:
            assert outcome.completion is not None
            assert outcome.completion.finish_reason == "stop"
            assert outcome.completion.text
    assert set(kinds) >= {"ok", "rate_limit_provider", "server", "provider_unavailable", "reset"}
    assert set(kinds) >= {"first_token_timeout", "truncated", "malformed"}
    # Each is told as what it was, also where the next attempt went well: a provider that says when to come back is
    # waited for, so that hardly a call ends with it.
    assert {kind for _, _, kind in rows if kind} >= {*kinds, "overloaded"} - {"ok"}
    budget = RetryBudget()
    waits = sum(kind in ("rate_limit_provider", "overloaded") for _, _, kind in rows)
    assert len(rows) - CALLS - waits <= budget.share * CALLS + budget.burst * len(MODELS)
    assert len(said.getvalue().splitlines()) >= len(rows)
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for place in (said.getvalue().encode(), stored, repr(outcomes).encode()):
        assert CANARY.encode() not in place
    assert SECRET_PROMPT not in said.getvalue()
    assert re.search(r"call \w+ run sandbox/\S+ attempt=1 ok", said.getvalue())
