"""A run belongs to the gateways that it was started at: without one of them it waits, and nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import select, update

from assay.config import Gateway, Settings, address_of
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.domain.score import GraderSpec
from assay.errors import RunError
from assay.runs import home
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import runs as stored
from assay.store.tables import CALL, RUN
from assay.workbench.datasets import kept as datasets
from assay.workbench.running import growth, runs
from assay.workbench.session import Session, open_session

Endpoints = Sequence[Mapping[str, Any]]
SLOW = SandboxConfig(speed=1)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the further endpoints."""
    monkeypatch.setenv("LOCAL_KEY", "key")


@contextmanager
def workbench(
    folder: Path, server: SandboxServer | None, *, endpoints: Endpoints = (), watch: bool = True
) -> Iterator[Session]:
    """A workbench before a server that plays OpenRouter, or without a key before its own sandbox."""
    settings = Settings.model_validate(
        {"database_url": f"sqlite:///{folder}/a.db", "endpoints": list(endpoints), "batch_poll_s": 0.02}
    )
    gateway = None if server is None else Gateway("openrouter", server.base_url, SecretStr("key"))
    with open_session(settings, gateway=gateway, watch=watch, sandbox_speed=0) as session:
        session.ready()
        yield session


def endpoint(server: SandboxServer, name: str = "local") -> dict[str, Any]:
    """A further endpoint that a server plays."""
    prices = {"*": {"prompt": "0", "completion": "0"}}
    return {"name": name, "base_url": server.base_url, "key_variable": "LOCAL_KEY", "prices": prices}


def draft_of(session: Session, *models: str, **more: Any) -> runs.RunDraft:
    """Twenty tickets before some models."""
    dataset = datasets.open_dataset(session, "support_tickets")
    contestants = tuple(map(Contestant, models or ("sandbox/swift",)))
    return runs.RunDraft(
        dataset.id, (Prompt("Classify: {{ticket}}"),), contestants, limit=20, budget_usd=Decimal(5), **more
    )


def begun(session: Session, draft: runs.RunDraft) -> str:
    """A run whose first calls are out."""
    run_id = runs.start_run(session, draft)
    until(lambda: bool(asked(session, run_id)))
    return run_id


def asked(session: Session, run_id: str) -> set[str]:
    """The gateways that the run's calls went to."""
    with session.store.read() as connection:
        return stored.asked_at(connection, run_id)


def calls(session: Session) -> int:
    """Calls in the ledger."""
    with session.store.read() as connection:
        return len(connection.execute(select(CALL.c.id)).all())


def assert_waits(session: Session, run_id: str, words: str) -> None:
    """The run waits with these words, everywhere, and nothing is sent for it."""
    before = calls(session)
    session.wait(runs.start_engine(session, run_id))  # whoever asks for it: the poller, a page, a command
    until(lambda: session.engine.live(run_id) is None)
    seen = runs.wait_for_run(session, run_id, timeout_s=5)

    assert (seen.state, seen.waits) == ("queued", words)
    assert words in seen.reason
    assert [run.waits for run in runs.list_runs(session)] == [words]
    for refused in (
        lambda: runs.continue_run(session, run_id, budget_usd=Decimal(9)),
        lambda: runs.retry_failed(session, run_id),
        lambda: growth.grow_run(session, run_id, growth.Growth(samples=2)),
    ):
        with pytest.raises(RunError) as error:
            refused()
        assert str(error.value) == words
    assert calls(session) == before


def test_run_waits_for_openrouter_without_a_key_and_goes_on_with_it(tmp_path: Path) -> None:
    """The sandbox is asked nothing; with the key the run goes on by itself, at its own gateway."""
    with SandboxServer(SLOW) as server:
        with workbench(tmp_path, server) as session:
            run_id = begun(session, draft_of(session))
        with workbench(tmp_path, None) as session:
            assert_waits(
                session,
                run_id,
                f"The run waits for OpenRouter at {server.base_url}: set OPENROUTER_API_KEY and OPENROUTER_BASE_URL.",
            )
        with workbench(tmp_path, server) as session:
            run = runs.wait_for_run(session, run_id, timeout_s=30)

            assert (run.state, run.done, run.failed, run.reason, run.waits) == ("done", 20, 0, "", "")
            assert asked(session, run_id) == {"openrouter"}


def test_run_of_the_sandbox_waits_while_there_is_a_key(tmp_path: Path) -> None:
    """A simulated run costs nothing at OpenRouter, and any sandbox finishes it."""
    with workbench(tmp_path, None, watch=False) as session:
        plan = runs.plan_of(session, draft_of(session))
        run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="simulated"))
    with SandboxServer() as server, workbench(tmp_path, server) as session:
        assert_waits(session, run_id, "The run waits for the sandbox: open Assay without OPENROUTER_API_KEY.")
    with workbench(tmp_path, None) as session:
        assert runs.wait_for_run(session, run_id, timeout_s=30).state == "done"


def test_run_waits_for_its_address(tmp_path: Path) -> None:
    """Another OPENROUTER_BASE_URL is another gateway."""
    with SandboxServer(SLOW) as server, SandboxServer() as other:
        with workbench(tmp_path, server) as session:
            run_id = begun(session, draft_of(session))
        with workbench(tmp_path, other) as session:
            assert_waits(
                session,
                run_id,
                f"The run waits for OpenRouter at {server.base_url}: set OPENROUTER_API_KEY and OPENROUTER_BASE_URL. "
                f"Calls go to {other.base_url} now.",
            )


@pytest.mark.parametrize("as_judge", [False, True])
def test_run_waits_for_a_further_endpoint(tmp_path: Path, as_judge: bool) -> None:
    """One that is gone or has moved is waited for, of a contestant and of a judge; the run goes on when it is back."""
    with SandboxServer(SLOW) as server, SandboxServer(SLOW) as local, SandboxServer() as other:
        here = [endpoint(local)]
        with workbench(tmp_path, server, endpoints=here) as session:
            judge = GraderSpec("judge", {"model": "local/sandbox/swift", "rubric": "It is short."})
            draft = (
                draft_of(session, graders=(judge,))
                if as_judge
                else draft_of(session, "local/sandbox/swift", "sandbox/swift")
            )
            run_id = begun(session, draft)
        words = f"The run waits for the endpoint local at {local.base_url}: set it in ASSAY_ENDPOINTS."
        with workbench(tmp_path, server) as session:
            assert_waits(session, run_id, words)
        with workbench(tmp_path, server, endpoints=[endpoint(other)]) as session:
            assert_waits(session, run_id, words)
        with workbench(tmp_path, server, endpoints=here) as session:
            run = runs.wait_for_run(session, run_id, timeout_s=60)

            assert (run.state, run.reason) == ("done", "")


def test_new_endpoint_takes_no_models_of_an_old_run(tmp_path: Path) -> None:
    """An endpoint that is named like the author of a model does not get the calls of a run from before."""
    with SandboxServer(SLOW) as server, SandboxServer() as local:
        with workbench(tmp_path, server, watch=False) as session:
            plan = replace(runs.plan_of(session, draft_of(session)), contestants=(Contestant("openai/gpt-5"),))
            kept = home.addresses_of(plan, session.gateways)
            run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="queued", gateways=kept))
        with workbench(tmp_path, server, endpoints=[endpoint(local, "openai")]) as session:
            assert_waits(
                session,
                run_id,
                "The run waits: openai/gpt-5 was asked at OpenRouter, and the endpoint openai in ASSAY_ENDPOINTS would "
                "take it now. Give the endpoint another name.",
            )


def test_batches_wait_with_their_run(tmp_path: Path) -> None:
    """Batches are not looked for at another gateway, which would take them for lost, and are fetched at their own."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=0.5)) as server:
        with workbench(tmp_path, server) as session:
            run_id = begun(session, draft_of(session, mode="batch"))
            until(lambda: runs.progress(session, run_id).batch is not None)
        with workbench(tmp_path, None) as session:
            assert runs.wait_for_run(session, run_id, timeout_s=5).waits.startswith("The run waits for OpenRouter at")
        with workbench(tmp_path, server) as session:
            run = runs.wait_for_run(session, run_id, timeout_s=30)

            assert (run.state, run.done, run.failed, calls(session)) == ("done", 20, 0, 20)


def test_waiting_run_can_be_paused_and_stopped(tmp_path: Path) -> None:
    """Nobody has to set the key for that."""
    with SandboxServer(SLOW) as server, workbench(tmp_path, server) as session:
        run_id = begun(session, draft_of(session))
    with workbench(tmp_path, None) as session:
        runs.pause_run(session, run_id)
        paused = runs.progress(session, run_id)
        runs.stop_run(session, run_id)

        assert (paused.state, paused.reason) == ("paused", f"Paused by you. {paused.waits}")
        assert runs.progress(session, run_id).state == "stopped"


def test_run_of_an_earlier_release_goes_on_when_asked_for(tmp_path: Path) -> None:
    """Nobody knows at which address it was asked: it is paused with the words, and Continue fixes the address."""
    with SandboxServer(SLOW) as server, SandboxServer() as other:
        with workbench(tmp_path, server) as session:
            run_id = begun(session, draft_of(session))
        with workbench(tmp_path, server, watch=False) as session:
            session.store.writer.call(lambda c: c.execute(update(RUN).values(gateways_json="{}")))
        with workbench(tmp_path, server) as session:
            run = runs.wait_for_run(session, run_id, timeout_s=10)
            runs.continue_run(session, run_id)

            assert (run.state, run.reason) == (
                "paused",
                "The run does not say at which address its calls were sent. Continue sends the missing ones "
                f"to OpenRouter at {server.base_url}.",
            )
        with workbench(tmp_path, other) as session:
            assert runs.wait_for_run(session, run_id, timeout_s=10).waits


def test_run_that_nobody_began_takes_the_gateways_of_its_name(tmp_path: Path) -> None:
    """A queued run without addresses has asked nobody yet."""
    with SandboxServer() as server, SandboxServer() as other:
        with workbench(tmp_path, server, watch=False) as session:
            dataset = datasets.open_dataset(session, "support_tickets")
            plan = RunPlan(dataset.id, 5, (Prompt("{{ticket}}"),), (Contestant("sandbox/swift"),))
            run_id = session.store.writer.call(lambda c: stored.create_run(c, plan, name="new"))
        with workbench(tmp_path, other) as session:
            assert runs.wait_for_run(session, run_id, timeout_s=10).state == "done"
            with session.store.read() as connection:
                assert stored.gateways_of(stored.get_run(connection, run_id)) == {"openrouter": other.base_url}


def test_growth_keeps_the_endpoints_that_come_with_it(tmp_path: Path) -> None:
    """A run that grew by a model of an endpoint waits for that endpoint too."""
    with SandboxServer() as server, SandboxServer() as local:
        with workbench(tmp_path, server, endpoints=[endpoint(local)]) as session:
            run_id = runs.start_run(session, draft_of(session))
            runs.wait_for_run(session, run_id, timeout_s=30)
            growth.grow_run(
                session, run_id, growth.Growth(contestants=(Contestant("local/sandbox/swift"),)), budget_usd=Decimal(5)
            )
            runs.wait_for_run(session, run_id, timeout_s=30)
        with workbench(tmp_path, server) as session, pytest.raises(RunError, match="waits for the endpoint local at"):
            runs.retry_failed(session, run_id)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://OpenRouter.ai:443/api/v1/", "https://openrouter.ai/api/v1"),
        ("http://user:secret@[::1]:8080/v1?key=secret#x", "http://[::1]:8080/v1"),
        ("http://localhost:80", "http://localhost"),
        ("http://user:secret@host:port/v1", "host:port/v1"),
    ],
)
def test_address_has_one_form_and_no_secret(given: str, address: str) -> None:
    """Case, usual ports and a last slash make no other gateway; keys in an address are not kept."""
    assert address_of(given) == address


@given(st.text())
def test_any_text_has_an_address_without_its_password(text: str) -> None:
    """Whatever stands in the setting."""
    assert "s3cr3t-canary" not in address_of(f"http://user:s3cr3t-canary@{text}")
