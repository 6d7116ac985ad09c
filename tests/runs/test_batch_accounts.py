"""Batches of a process that died while it handed them in: whose they are is looked at before anything is asked anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr
from run_driver import until
from sqlalchemy import func, select, update

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.openrouter.batches import account_of
from assay.runs.batch_mode import ANOTHER_ACCOUNT
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store.tables import CALL, GATEWAY_BATCH
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

ROWS = 10


@contextmanager
def workbench(folder: Path, server: SandboxServer, *, key: str = "key") -> Iterator[Session]:
    """The app before a sandbox of the test's own, with the key of an account."""
    folder.mkdir(exist_ok=True)
    settings = Settings(database_url=f"sqlite:///{folder}/a.db", batch_poll_s=0.02)
    with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr(key))) as session:
        session.ready()
        yield session


def begun(session: Session) -> str:
    """A run whose batch waits at the gateway."""
    dataset = kept.open_dataset(session, "support_tickets")
    run_id = runs.start_run(
        session, RunDraft(dataset.id, (Prompt("{{ticket}}"),), (Contestant("sandbox/swift"),), limit=ROWS, mode="batch")
    )
    until(lambda: runs.progress(session, run_id).batch is not None and bool(remotes(session)))
    return run_id


def remotes(session: Session) -> list[str]:
    """The gateway's ids of the batches."""
    with session.store.read() as connection:
        query = select(GATEWAY_BATCH.c.remote_id).where(GATEWAY_BATCH.c.remote_id.is_not(None))
        return list(connection.execute(query).scalars())


def forget_acceptance(session: Session, *, withdraw_from: SandboxServer | None = None) -> None:
    """As if the process had been killed after it had handed the batch in, or before."""
    if withdraw_from is not None:
        for remote in remotes(session):
            del withdraw_from.sandbox._batches._batches[remote]
    query = update(GATEWAY_BATCH).values(remote_id=None, state="submitting", expires_ms=None)
    session.store.writer.call(lambda c: c.execute(query) and None)


def killed(folder: Path, server: SandboxServer, *, accepted: bool = True) -> str:
    """A run whose process ended between the submission of its batch and its acceptance."""
    with workbench(folder, server) as session:
        run_id = begun(session)
    with workbench(folder, server, key="looks at nothing") as session:
        forget_acceptance(session, withdraw_from=None if accepted else server)
    return run_id


def ended(session: Session, run_id: str) -> tuple[str, int, int, int]:
    """State, cells done, calls of unknown cost, and pico-dollars in reserve of a run that has been continued."""
    runs.continue_run(session, run_id, budget_usd=Decimal(9))
    run = runs.wait_for_run(session, run_id, timeout_s=60)
    return run.state, run.done, run.unknown_calls, run.reserved_pico


def test_batch_that_another_key_cannot_see_is_neither_adopted_nor_asked_for_anew(tmp_path: Path) -> None:
    """The run rests and says why; with its own key it is finished, and all was paid once."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=0.5)) as server:
        run_id = killed(tmp_path / "a", server)
        with workbench(tmp_path / "other", server, key="another's") as session:
            begun(session)  # of the same model, size and time
            with workbench(tmp_path / "a", server, key="another's") as mine:
                assert ended(mine, run_id)[:2] == ("paused", 0)
                assert runs.progress(mine, run_id).reason == ANOTHER_ACCOUNT
                assert remotes(mine) == []
        with workbench(tmp_path / "a", server) as session:
            assert ended(session, run_id) == ("done", ROWS, 0, 0)
        assert server.sandbox.books.paid.total() <= 2 * ROWS


def test_batch_of_another_account_is_given_up_by_ones_word(tmp_path: Path) -> None:
    """Continue a second time asks for its cells with this key; what the batch may have cost is told."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=60)) as server:
        run_id = killed(tmp_path / "a", server)
        with workbench(tmp_path / "a", server, key="another's") as session:
            assert ended(session, run_id)[0] == "paused"
            server.sandbox.meet(())
            assert ended(session, run_id) == ("done", ROWS, ROWS, 0)


def test_batch_that_only_looks_like_ours_is_given_back(tmp_path: Path) -> None:
    """Another database's, of one account, model, size and time: its answers are not taken, and ours are asked for."""
    with SandboxServer(SandboxConfig(speed=1, batch_s=0.5)) as server:
        run_id = killed(tmp_path / "a", server, accepted=False)
        with workbench(tmp_path / "b", server) as other:
            theirs = begun(other)
            with workbench(tmp_path / "a", server) as session:
                assert ended(session, run_id) == ("done", ROWS, 0, 0)
                with session.store.read() as connection:
                    failed = connection.execute(select(func.count()).where(CALL.c.outcome != "ok")).scalar()
            run = runs.wait_for_run(other, theirs, timeout_s=60)

    assert (failed, run.state, run.done) == (0, "done", ROWS)
    assert server.sandbox.books.paid.total() == 2 * ROWS


@pytest.mark.parametrize(
    ("told", "account"),
    [
        ({"organization_id": "org_1", "creator_user_id": "user_1"}, "org_1"),
        ({"organization_id": None, "creator_user_id": "user_1"}, "user_1"),
        ({"organization_id": None, "creator_user_id": None}, ""),
        ({"organization_id": 7, "creator_user_id": ["x"]}, ""),
        ({}, ""),
    ],
)
def test_account_is_the_organizations_before_the_users(told: dict[str, object], account: str) -> None:
    """Members of one organization share its batches; what is no name is none."""
    assert account_of(told) == account
