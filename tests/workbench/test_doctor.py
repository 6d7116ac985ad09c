"""The doctor: each thing that may be wrong is a finding with a cure; the acceptance run stays within its bound."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assay.config import Gateway, Settings
from assay.errors import DataError
from assay.openrouter.reach import reach
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.books import month_of, month_settled
from assay.store.ledger import now_ms
from assay.workbench.gateway import acceptance, doctor
from assay.workbench.gateway.doctor import Finding
from assay.workbench.gateway.endpoint_words import endpoint_facts, status_words
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend


@contextmanager
def _opened(tmp_path: Path, **config: Any) -> Iterator[Session]:
    with SandboxServer(SandboxConfig(speed=0, **config)) as server:
        gateway = Gateway("sandbox", server.base_url, SecretStr("sandbox"), SecretStr("sandbox"))
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as session:
            yield session


def _found(session: Session) -> dict[str, Finding]:
    return {one.name: one for one in doctor.examine(session)}


def test_sound_set_up_has_nothing_failed(tmp_path: Path) -> None:
    """Key, kind, expiry, limit, free requests, network, clock, credits, database and disk are all told of."""
    with _opened(tmp_path) as session:
        found = _found(session)

    assert not [one for one in found.values() if one.state == "fail"]
    assert {
        "key kind",
        "key expiry",
        "key limit",
        "free requests",
        "network answer",
        "clock",
        "credits",
        "limits",
        "catalogue",
        "database",
        "database integrity",
        "disk",
    } <= set(found)
    assert abs(float(found["clock"].said.split()[0])) <= 30


def test_account_without_credits_is_told_what_they_change(tmp_path: Path) -> None:
    """Few free requests and no balance are said with what credits of $10 change."""
    with _opened(tmp_path, free_tier=True, credits_usd=Decimal(0)) as session:
        found = _found(session)

    assert found["free requests"].said.startswith("50 of 50")
    assert "$10 of credits" in found["free requests"].cure
    assert found["credits"].state == "fail"


def test_key_that_is_refused_fails_with_a_cure(tmp_path: Path) -> None:
    """A wrong key is one failed finding; the looks after it go on."""
    with _opened(tmp_path, keys=frozenset({"sk-other"})) as session:
        found = _found(session)

    assert found["key accepted"].state == "fail"
    assert found["key accepted"].cure
    assert found["database"].state == "ok"


@pytest.mark.parametrize(
    ("facts", "name", "state"),
    [
        ({"is_management_key": True}, "key kind", "fail"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "key expiry", "fail"),
        ({"expires_at": "soon"}, "key expiry", "warn"),
        ({"limit": 5, "limit_remaining": 0}, "key limit", "fail"),
        ({"limit": 5, "limit_remaining": Decimal("0.4"), "limit_reset": "daily"}, "key limit", "warn"),
        ({"free_model_daily_requests": {"limit": 50, "remaining": 0}}, "free requests", "warn"),
    ],
)
def test_facts_of_a_key_are_judged(facts: dict[str, Any], name: str, state: str) -> None:
    """Kind, expiry, limit and free requests, as the gateway tells them."""
    looks = (doctor._kind, doctor._expiry, doctor._key_limit, doctor._free_requests)
    found = {one.name: one for look in looks for one in look(facts)}

    assert found[name].state == state
    assert found[name].cure or state == "warn"


def test_port_without_a_listener_is_said_at_its_step() -> None:
    """Nothing behind a port fails at the connection, a name without an address at the name."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    steps = list(reach(f"http://127.0.0.1:{port}/api/v1"))
    nameless = list(reach("http://no-such-host.invalid/api/v1"))

    assert [(step.step, step.ok) for step in steps] == [("name", True), ("connection", False)]
    assert [(step.step, step.ok) for step in nameless] == [("name", False)]


def test_acceptance_run_goes_every_path_within_its_bound(tmp_path: Path) -> None:
    """Every path is well, the ledger has each call under its tag, and what was spent is below what was said."""
    with _opened(tmp_path) as session:
        planned = acceptance.plan(session)
        found = list(acceptance.accept(session, planned))
        spent = spend.report(session, spend.since_days(None)).sum

    assert [one for one in found if one.state != "ok"] == []
    assert {"live: embeddings", "live: Responses API"} <= {one.name for one in found}
    assert "one of sandbox/vector" in planned.in_words()
    assert spent.calls == len(planned.paths)
    assert 0 < spent.known_pico <= planned.bound_pico <= 50_000_000_000


def test_acceptance_run_stays_within_what_was_said_though_every_try_is_billed(tmp_path: Path) -> None:
    """Each call breaks off, may have been paid, and is tried again as often as the settings say."""
    with _opened(tmp_path, faults=(Fault("truncated"),), generation_delay_s=3_600) as session:
        planned = acceptance.plan(session)
        found = {one.name: one for one in acceptance.accept(session, planned)}
        with session.store.read() as connection:
            held = month_settled(connection, month_of(now_ms()))

    assert found["live: Responses API"].state == found["live: streamed answer"].state == "fail"
    assert planned.bound_pico // 4 < held <= planned.bound_pico


@pytest.mark.parametrize("kind", ["500", "403_guardrail", "empty_choices", "fabricated", "no_usage"])
def test_acceptance_run_tells_faults_of_the_responses_api(tmp_path: Path, kind: Any) -> None:
    """Neither a failure nor an answer without a cost is well."""
    with _opened(tmp_path, faults=(Fault(kind),)) as session:
        found = {one.name: one for one in acceptance.accept(session, acceptance.plan(session))}

    assert found["live: Responses API"].state != "ok"


def test_acceptance_run_tells_what_fails(tmp_path: Path) -> None:
    """A path that fails is a failed finding in words."""
    with _opened(tmp_path, faults=(Fault("403_guardrail"),)) as session:
        found = {one.name: one for one in acceptance.accept(session, acceptance.plan(session))}

    assert found["live: plain answer"].state == "fail"
    assert "guardrail" in found["live: plain answer"].said


def test_acceptance_run_of_a_dear_or_unknown_model_is_refused(tmp_path: Path) -> None:
    """Past five cents, or without a bound, nothing is sent."""
    with _opened(tmp_path) as session:
        with pytest.raises(DataError, match="No model"):
            acceptance.plan(session, "sandbox/none")
        with pytest.raises(DataError, match=r"more than \$0\.050"):
            acceptance.plan(session, "sandbox/swift")
        assert acceptance.plan(session, "sandbox/budget-mini").bound_pico < 50_000_000_000


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "ok"),
        (-1, "degraded (-1)"),
        (-3, "degraded (-3)"),
        (-5, "down"),
        (-10, "off"),
        (None, "unknown"),
        ("x", "unknown"),
    ],
)
def test_status_of_an_endpoint_is_said_in_words(status: object, said: str) -> None:
    """0 is normal, -5 is down; what a gateway does not say is unknown."""
    assert status_words(status) == said


def test_odd_endpoint_row_is_unknown_not_an_error() -> None:
    """Fields of another type, or none at all, leave the fact unknown."""
    found = endpoint_facts({"pricing": None, "latency_last_30m": "fast", "status": True, "uptime_last_30m": "all"})

    assert (found.status, found.prompt_usd_per_million, found.first_token_ms, found.uptime) == (
        "unknown",
        None,
        None,
        None,
    )
