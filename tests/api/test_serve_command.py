"""`assay serve` as a user starts it: with a token, without one here, and never without one elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from service_driver import ASK


def command(*options: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "assay", "serve", "--port", "0", *options]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "OPENROUTER_"))}
    return {**bare, "ASSAY_DATABASE_URL": f"sqlite:///{folder}/assay.db", **more}


@contextmanager
def serving(folder: Path, *options: str, **env: str) -> Iterator[str]:
    """The base URL that a served command prints."""
    process = subprocess.Popen(
        command(*options),
        cwd=folder,
        env=environment(folder, **env),
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip().removesuffix("/v1")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com"])
def test_without_a_token_only_this_machine_is_served(tmp_path: Path, host: str) -> None:
    """Refused in words before anything is opened, exit 2."""
    found = subprocess.run(
        command("--no-token", "--host", host),
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 2
    assert "this machine only" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "assay.db").exists()


def test_no_token_at_all_is_refused_with_both_cures(tmp_path: Path) -> None:
    """An empty one is none."""
    for env in ({}, {"ASSAY_API_TOKEN": "  "}):
        found = subprocess.run(
            command(),
            cwd=tmp_path,
            env=environment(tmp_path, **env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.returncode == 2
        assert "ASSAY_API_TOKEN" in found.stderr
        assert "--no-token" in found.stderr


def test_served_without_a_token_as_the_seed_has_it(tmp_path: Path) -> None:
    """A program without a token is answered, also where a token is set; a foreign name or page is not."""
    with serving(tmp_path, "--no-token", ASSAY_API_TOKEN="set") as url:
        assert httpx.get(f"{url}/models", timeout=30).json()["data"]
        whole = httpx.post(f"{url}/completions", json={**ASK, "max_tokens": 5}, timeout=30)
        foreign = httpx.get(f"{url}/models", headers={"Host": "evil.example"})
        page = httpx.post(f"{url}/completions", json=ASK, headers={"Origin": "https://evil.example"})

    assert whole.json()["object"] == "chat.completion"
    assert (foreign.status_code, page.status_code) == (400, 403)
