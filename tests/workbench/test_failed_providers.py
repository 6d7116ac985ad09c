"""Who failed before an answer: asked for with every call, kept in the ledger, shown on every face."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.cli.scoreboard import report
from assay.domain.contestant import Contestant, Prompt
from assay.views import resources
from assay.views.playground.panes import facts
from assay.workbench import playground
from assay.workbench.datasets import kept
from assay.workbench.gateway import faults
from assay.workbench.gateway.faults import FaultSetting
from assay.workbench.results import cells
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def done(session: Session, tmp_path: Path) -> str:
    """The id of a run whose first provider failed before every answer."""
    (tmp_path / "rows.csv").write_text("q\nName a river\nName a lake\n")
    faults.set_faults(session, [FaultSetting("provider_down", 1.0)])
    data = kept.open_dataset(session, str(tmp_path / "rows.csv"))
    draft = RunDraft(dataset_id=data.id, prompts=(Prompt("{{q}}"),), contestants=(Contestant("sandbox/swift"),))
    run_id = runs.start_run(session, draft)
    assert runs.wait_for_run(session, run_id, timeout_s=60).state == "done"
    return run_id


def test_failed_provider_is_counted_and_told_of_a_run(
    session: Session, done: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's calls name it, and `assay show` counts the answers before which it failed."""
    report(session, done, runs.progress(session, done), as_json=False)

    assert cells.failed_providers(session, done) == [("Eastbay (503)", 2)]
    assert "Eastbay (503) before 2 answers" in capsys.readouterr().out


def test_failed_provider_stands_beside_the_answer_of_a_cell(
    session: Session, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view of a cell says who failed before its answer."""
    monkeypatch.setattr(resources, "get_runtime", lambda: session.runtime)
    page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=60).run()
    page.switch_page(str(ROOT / "pages/results.py"))
    page.query_params["run"] = done
    page.query_params["tab"] = "Rows"
    page.query_params["row"] = "0"
    page.run()

    assert not page.exception
    (call,) = cells.cell_detail(session, done, 0).record.calls
    assert call.failed_providers_json == '["Eastbay (503)"]'


def test_failed_provider_stands_under_a_pane(session: Session) -> None:
    """The playground's facts name it; blind they keep it back with the provider."""
    faults.set_faults(session, [FaultSetting("provider_down", 1.0)])
    comparison = playground.start_comparison(
        session, prompt=Prompt("Name a river"), variables={}, contestants=(Contestant("sandbox/swift"),)
    )
    while not (view := playground.watch(session, comparison)).finished:
        pass

    assert "after Eastbay" in facts(view.panes[0], hidden=False).replace("\\", "")
    assert "Eastbay" not in facts(view.panes[0], hidden=True)
