"""How commands end: what is missing in a run, a signal, a database that is locked, read-only or has no room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.store.engine import sqlite_driver
from test_cli import PROMPT, assay, suite

RUN = ("run", "support_tickets", "--prompt", PROMPT, "--model", "sandbox/swift", "--limit", "6")
HALF = (Fault("400", rate=0.5),)


def refusing(server: SandboxServer) -> dict[str, str]:
    """The environment in which a server plays OpenRouter."""
    return {"OPENROUTER_API_KEY": "sk-test", "OPENROUTER_BASE_URL": server.base_url}


def test_strict_run_continue_and_grow_exit_1_when_cells_failed(tmp_path: Path) -> None:
    """Without --strict the same run exits 0 and says what failed; asked again without faults it is plainly done."""
    with SandboxServer(SandboxConfig(speed=0, faults=HALF, seed=3)) as server:
        env = refusing(server)
        plain = assay(tmp_path, *RUN, "--json", **env)
        strict = assay(tmp_path, *RUN, "--strict", **env)
        run = json.loads(plain.stdout)["run"]
        again = assay(tmp_path, "continue", run, "--strict", **env)
        grown = assay(tmp_path, "grow", run, "--samples", "2", "--yes", "--strict", "--budget", "5", **env)
        server.sandbox.meet(())
        cured = assay(tmp_path, "continue", run, "--retry-failed", "--strict", "--json", **env)

    said = json.loads(plain.stdout)
    assert (plain.returncode, said["state"]) == (0, "done")
    assert said["outcome"] == f"done, {said['failed']} cells failed"
    assert [done.returncode for done in (strict, again, grown, cured)] == [1, 1, 1, 0], grown.stderr + cured.stderr
    assert "cells failed. `assay continue" in strict.stderr
    assert json.loads(cured.stdout)["outcome"] == "done"


def test_strict_suite_exits_1_when_a_model_was_given_up(tmp_path: Path) -> None:
    """The JSON names it; the gates are met all the same."""
    suite(tmp_path)
    rows = "".join(f"{n};Crash number {n};bug\n" for n in range(40))
    (tmp_path / "tickets.csv").write_text(f"id;ticket;category\n{rows}")
    file = tmp_path / "suite.yaml"
    file.write_text(
        file.read_text()
        .replace("[sandbox/swift]", "[sandbox/swift, sandbox/scribe]")
        .replace("- failed: {max: 0}\n", "")
    )
    with SandboxServer(SandboxConfig(speed=0, faults=(Fault("404", model="sandbox/scribe"),))) as server:
        done = assay(tmp_path, "run", "suite.yaml", "--concurrency", "1", "--strict", "--json", **refusing(server))

    said = json.loads(done.stdout)
    assert (done.returncode, said["state"]) == (1, "done"), done.stderr
    assert (said["given_up"], said["done"] < said["cells"]) == (["scribe"], True)
    assert "; scribe was given up. `assay continue" in done.stderr


def test_sigterm_pauses_a_run_after_its_calls(tmp_path: Path) -> None:
    """What was paid is kept, nothing stays reserved, and continue finishes it within the budget of the start."""
    with SandboxServer(SandboxConfig(fixed_latency_ms=400)) as server:
        env = os.environ | refusing(server) | {"ASSAY_DATABASE_URL": f"sqlite:///{tmp_path}/a.db", "CI": "1"}
        words = [*RUN, "--concurrency", "1", "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "assay", *words], env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        while not server.sandbox.books.spend:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        run = said.partition("`assay continue ")[2].partition("`")[0]
        done = assay(tmp_path, "continue", run, "--json", **refusing(server))

        assert process.returncode == 1
        assert "Paused. " in said
        assert json.loads(done.stdout)["outcome"] == "done", done.stderr
        assert server.sandbox.books.paid.total() == 6


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A database that another program holds locked altogether."""
    assert assay(tmp_path, "runs").returncode == 0
    holder = sqlite_driver().connect(str(tmp_path / "a.db"), isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE alembic_version SET version_num = version_num")
    yield tmp_path
    holder.close()


@pytest.mark.parametrize("words", [("spend",), ("runs",)])
def test_locked_database_is_waited_for_and_then_told(held: Path, words: Sequence[str]) -> None:
    """First that it is waited for, then that nothing came of it: exit 1, no traceback."""
    done = assay(held, *words, ASSAY_DATABASE_PATIENCE_S="2")

    assert done.returncode == 1
    assert "Waiting for the database: another program holds it locked." in done.stderr
    assert "Error: Another program holds the database locked. Close it" in done.stderr
    assert "Traceback" not in done.stderr
