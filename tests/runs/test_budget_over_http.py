"""The budget over real HTTP: service, runs with judges, playground and command line spend at once, in three processes,
at a gateway that bills as much as its price lists allow; callers leave, answers are lost after they were billed, a
process is killed.

ASSAY_TRIALS=100 is the long form; the suite plays 2 trials.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from greedy_server import GreedyServer
from pydantic import SecretStr

from assay.api.door import rules_of
from assay.api.listening import config_of
from assay.api.service import create_server
from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import AssayError
from assay.money import from_pico
from assay.store.ledger import now_ms
from assay.workbench import playground
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session

TRIALS = int(os.environ.get("ASSAY_TRIALS", "2"))
KEY = "sk-or-v1-x"
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@dataclass
class Trial:
    """One gateway, one database, one month."""

    folder: Path
    server: GreedyServer
    rng: random.Random
    month: Decimal

    @property
    def env(self) -> dict[str, str]:
        """The environment of a further process."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
        return clean | {
            "ASSAY_DATABASE_URL": f"sqlite:///{self.folder}/a.db",
            "ASSAY_MONTHLY_BUDGET_USD": str(self.month),
            "OPENROUTER_API_KEY": KEY,
            "OPENROUTER_BASE_URL": self.server.base_url,
        }

    def command(self, account: str, budget: Decimal) -> subprocess.Popen[bytes]:
        """`assay run` in a process of its own."""
        words = [
            "run",
            "rows.csv",
            "--prompt",
            f"of-{account} {{{{q}}}}",
            "--name",
            account,
            "--budget",
            str(budget),
            "--param",
            "max_tokens=60",
        ]
        words += [part for model in self.server.paid[:2] for part in ("--model", model)]
        with (self.folder / f"{account}.txt").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "assay", *words], cwd=self.folder, env=self.env, stdout=said, stderr=said
            )


def test_gateways_own_bill_stays_within_every_budget(tmp_path: Path) -> None:
    """Month and runs, by the gateway's books and by the ledger; never above is not below; the ledger holds the bill."""
    for number in range(TRIALS):
        folder = tmp_path / str(number)
        folder.mkdir()
        play(folder, seed=20261128 + number, kill=number == 0 or number % 5 == 0)


def play(folder: Path, *, seed: int, kill: bool) -> None:
    """One trial."""
    rng = random.Random(seed)
    (folder / "rows.csv").write_text("q\n" + "".join(f"{'wörd ' * rng.randrange(1, 40)}{n}\n" for n in range(24)))
    with GreedyServer(seed) as server:
        settings = Settings(
            database_url=f"sqlite:///{folder}/a.db",
            monthly_budget_usd=None,
            max_attempts=3,
            openrouter_api_key=SecretStr(KEY),
            openrouter_base_url=server.base_url,
        )
        gateway = Gateway("openrouter", server.base_url, SecretStr(KEY))
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            whole = runs.estimate(session, draft_of(session, folder, server, "probe", None)).cost
        assert whole.worst is not None
        assert whole.dearest is not None
        share = from_pico(max(whole.worst // rng.randrange(3, 8), whole.dearest * 2))
        trial = Trial(folder, server, rng, share * rng.randrange(2, 5))
        with open_session(settings.model_copy(update={"monthly_budget_usd": trial.month}), gateway=gateway) as session:
            spend(session, trial, share, kill=kill)
            check(session, trial)


def draft_of(session: Session, folder: Path, server: GreedyServer, account: str, budget: Decimal | None) -> RunDraft:
    """A run of the dataset with a judge; account: whose it is in the gateway's books."""
    dataset = kept.open_dataset(session, str(folder / "rows.csv"))
    contestants = tuple(Contestant(model, {"max_tokens": 60}) for model in server.paid[:3])
    judge = GraderSpec("judge", {"model": server.paid[0]})
    return RunDraft(
        dataset.id, (Prompt(f"of-{account} {{{{q}}}}"),), contestants, (judge,), budget_usd=budget, name=account
    )


def spend(session: Session, trial: Trial, share: Decimal, *, kill: bool) -> None:
    """Everybody at once, until nobody spends any more."""
    commands = [trial.command("victim", share), trial.command("second", share)] if kill else []
    if commands:  # they take longest to begin
        until(lambda: bool(trial.server.books.of("victim")) or commands[0].poll() is not None)
    started = [runs.start_run(session, draft_of(session, trial.folder, trial.server, "first", share))]
    started.append(runs.start_run(session, draft_of(session, trial.folder, trial.server, "unset", None)))
    compare(session, trial)
    with serving(session) as port:
        callers = [threading.Thread(target=call, args=(port, trial, random.Random(n))) for n in range(16)]
        for caller in callers:
            caller.start()
        if commands:
            commands[0].send_signal(signal.SIGKILL)
        for caller in callers:
            caller.join()
        for command in commands:
            command.wait(timeout=120)
        for run_id in started:
            runs.wait_for_run(session, run_id, timeout_s=120)
    session.runtime.settle_the_past()
    for line in runs.list_runs(session):
        if line.name == "victim":
            continued(session, line.id)


def continued(session: Session, run_id: str) -> None:
    """The killed run goes on where its budget allows."""
    try:
        runs.continue_run(session, run_id)
    except AssayError:
        return  # what the killed calls may have cost leaves no room
    runs.wait_for_run(session, run_id, timeout_s=120)


def compare(session: Session, trial: Trial) -> None:
    """A comparison in the playground."""
    contestants = [Contestant(model, {"max_tokens": 40}) for model in trial.server.paid[:4]]
    playground.start_comparison(session, prompt=Prompt("of-play Compare"), variables={}, contestants=contestants)


UNREADABLE: tuple[Any, ...] = ("about 1", "-0.5", "1e30", {"usd": "1"}, True, None)


@pytest.mark.parametrize("price", UNREADABLE, ids=str)
def test_price_that_becomes_unknown_at_work_pauses_the_run(tmp_path: Path, price: Any) -> None:
    """The catalogue is fetched anew and a price cannot be read any more: nothing is sent from then on, and the reason
    says what has no bound; with the price back, Continue finishes the run within its budget."""
    (tmp_path / "rows.csv").write_text("q\n" + "".join(f"number {n}\n" for n in range(24)))
    with GreedyServer(3) as server:
        gateway = Gateway("openrouter", server.base_url, SecretStr(KEY))
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db", concurrency=1)
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            wanted = draft_of(session, tmp_path, server, "first", Decimal(50))
            run_id = runs.start_run(session, replace(wanted, contestants=wanted.contestants[:1], graders=()))
            until(lambda: server.books.calls > 3)
            row = next(row for row in server.rows if row["id"] == server.paid[0])
            sound, row["pricing"] = row["pricing"], row["pricing"] | {"prompt": price}
            session.wait(session.catalogue.refresh())
            changed_ms = now_ms()
            paused = runs.wait_for_run(session, run_id, timeout_s=60)
            after = created(session, changed_ms)
            row["pricing"] = sound
            session.wait(session.catalogue.refresh())
            runs.continue_run(session, run_id)
            done = runs.wait_for_run(session, run_id, timeout_s=120)
    assert (paused.state, done.state) == ("paused", "done"), (paused.reason, done.reason)
    assert "nobody knows what a call costs at most" in paused.reason
    assert after == 0
    assert done.done == 24
    assert server.books.of("first") <= from_pico(done.spent_pico + done.unknown_bound_pico) <= Decimal(50)


def created(session: Session, since_ms: int) -> int:
    """Calls that were begun after a moment."""
    with session.store.read() as connection:
        query = "SELECT count(*) FROM call WHERE created_ms > ?"
        return int(connection.exec_driver_sql(query, (since_ms,)).scalar_one())


class serving:
    """The service, on a port of its own."""

    def __init__(self, session: Session) -> None:
        app = create_server(lambda: session.runtime, rules=rules_of(session.settings, tokenless=True))
        self._server = uvicorn.Server(config_of(app, port=0))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        until(lambda: self._server.started)
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()


def call(port: int, trial: Trial, rng: random.Random) -> None:
    """A caller of the service: some ask for dear things, some leave before the first byte."""
    for _ in range(3):
        content: Any = "of-api " + "wörd " * rng.randrange(40)
        if rng.random() < 0.3:
            content = [{"type": "text", "text": content}, PICTURE]
        body: dict[str, Any] = {
            "model": rng.choice(trial.server.rows)["id"] + rng.choice(("", "", ":nitro", ":online")),
            "messages": [{"role": "user", "content": content}],
            "max_tokens": rng.randrange(1, 120),
            "stream": rng.random() < 0.5,
        }
        body |= rng.choice([{}, {}, {"n": 2}, {"models": trial.server.paid[-2:]}, {"plugins": [{"id": "web"}]}])
        data = json.dumps(body).encode()
        head = "POST /api/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"{head}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
            if rng.random() < 0.4:
                time.sleep(rng.uniform(0, 0.05))
                continue  # nobody waits any more
            try:
                while connection.recv(65536):
                    pass
            except OSError:
                pass


def check(session: Session, trial: Trial) -> None:
    """Nothing that the gateway billed is beyond a budget, or missing in the ledger."""
    books = trial.server.books
    with session.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT name, budget_pico, settled_pico, reserved_pico FROM run").all()
        month = connection.exec_driver_sql("SELECT sum(settled_pico + reserved_pico) FROM month_spend").scalar_one()
    assert books.calls > 20
    assert books.total <= trial.month
    assert books.total <= from_pico(month) <= trial.month
    for name, budget, settled, reserved in rows:
        assert books.of(name) <= from_pico(settled + reserved) <= from_pico(budget), name


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something; fails when it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)
