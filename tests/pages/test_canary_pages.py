"""What pages send to a browser holds nothing of the keys that a gateway echoes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from echoing_gateway import EchoingGateway
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from assay.config import Gateway, Settings
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.views import resources
from assay.workbench import playground
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.session import Session, open_session
from canary import KEYS, leaks

ROOT = Path(__file__).resolve().parents[2]
MODELS = tuple(Contestant(f"t/{name}") for name in ("text", "tools", "refused", "mid"))


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Session, str, str]]:
    """A workbench with a run and a comparison of a gateway that echoes every key: it, their ids."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/a.db",
        max_attempts=1,
        probe_waits_s=(0.01,),
        openrouter_api_key=SecretStr(KEYS["key"]),
        openrouter_management_key=SecretStr(KEYS["management"]),
        api_token=SecretStr(KEYS["token"]),
    )
    with EchoingGateway({name: KEYS[name] for name in ("key", "management", "token")}) as echoing:
        gateway = Gateway(
            "openrouter", echoing.base_url, settings.openrouter_api_key, settings.openrouter_management_key
        )
        with open_session(settings, gateway=gateway) as session:
            session.ready()
            monkeypatch.setattr(resources, "get_runtime", lambda: session.runtime)
            table = kept.read_upload(session, b"q,gold\none,key\n", filename="q.csv")
            dataset = kept.save_table(session, table, name="q", source="q")
            draft = runs.RunDraft(
                dataset.id, (Prompt("{{q}}"),), MODELS, (GraderSpec("contains"),), expected_column="gold"
            )
            run_id = runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=90).id
            compared = playground.start_comparison(session, prompt=Prompt("x"), variables={}, contestants=MODELS)
            wait_for_comparison(session, compared)
            yield session, run_id, compared


def wait_for_comparison(session: Session, comparison: str) -> None:
    """Waits until no answer of a comparison is still coming."""
    end = time.monotonic() + 90
    while not playground.watch(session, comparison).finished:
        assert time.monotonic() < end
        time.sleep(0.05)


def sent(page: AppTest) -> bytes:
    """The messages by which the page is drawn."""
    assert not page.exception
    return b"\n".join(node.proto.SerializeToString() for node in page._tree if getattr(node, "proto", None) is not None)


def test_pages_send_no_key(used: tuple[Session, str, str]) -> None:
    """Every page with answers, errors, providers, the catalogue and the doctor's findings on it."""
    _, run_id, comparison = used
    named = {"playground": {"comparison": comparison}, "results": {"run": run_id}, "models": {"model": "t/text"}}
    found: dict[str, bytes] = {}
    for path in sorted((ROOT / "pages").glob("*.py")):
        page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=60).run()
        page.switch_page(str(path))
        for name, value in named.get(path.stem, {}).items():
            page.query_params[name] = value
        found[path.stem] = sent(page.run())
        if path.stem == "settings":
            found["doctor"] = sent(page.button(key="settings.doctor").click().run())

    assert {name: leak for name, said in found.items() if (leak := leaks(said))} == {}
    assert b"[key removed]" in found["playground"]
    assert b"[key removed]" in found["models"]
    assert len(found) == 10
