"""The compare page: empty, two runs side by side, a run with itself, and addresses that name nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.workbench.datasets import kept
from assay.workbench.results.cells import get_run
from assay.workbench.results.pairing import lines_of, pairing
from assay.workbench.running import progress, runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror=alert(1)> ![x](http://evil.example/x.png)"


def opened_page(**query: str) -> AppTest:
    """The compare page inside the frame, without an exception."""
    at = AppTest.from_file(str(ROOT / "src" / "assay" / "views" / "shell.py"), default_timeout=30).run()
    at.switch_page(str(ROOT / "pages" / "compare.py"))
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    """Captions, messages and texts of the page."""
    return "\n".join(part.value for part in (*at.caption, *at.warning, *at.info, *at.error, *at.markdown, *at.code))


def done_run(session: Session, folder: Path, lines: list[str], prompt: str = "{{question}}") -> str:
    """A done run of two models on rows of a file."""
    table = folder / "rows.csv"
    table.write_text("\n".join(["id,question,answer", *lines, ""]))
    dataset = kept.open_dataset(session, str(table))
    models = tuple(map(Contestant, ("sandbox/swift", "sandbox/scribe")))
    draft = RunDraft(
        dataset.id, (Prompt(prompt),), models, (GraderSpec("contains"), GraderSpec("equals")), expected_column="answer"
    )
    run_id = runs.start_run(session, draft)
    assert progress.wait_for_run(session, run_id, timeout_s=60).state == "done"
    return run_id


def questions(count: int, *, start: int = 0) -> list[str]:
    """Lines of a file."""
    return [f"{n},What is capital {n}? {HOSTILE},Paris" for n in range(start, start + count)]


def test_page_without_runs_says_where_to_start(session: Session) -> None:
    """No run: words and a way on."""
    at = opened_page()

    assert "No run with answers yet" in said(at)
    assert at.button(key="compare.first")


def test_two_runs_are_joined_by_key_and_the_rest_is_counted(session: Session, tmp_path: Path) -> None:
    """Shuffled, dropped and edited rows: those in both are compared, the others counted, the difference named."""
    first = done_run(session, tmp_path, questions(12))
    changed = [*reversed(questions(10)), "50,What is new?,Paris"]
    second = done_run(session, tmp_path, changed, "Answer briefly: {{question}}")
    at = opened_page(a=first, b=second, show="all", row="3")
    page = said(at)

    assert "10 rows in both · 2 only in the baseline · 1 only in the other" in page
    assert "Prompt" in page
    assert "Row **3** · 7 of 10" in page
    assert "against the baseline" in page
    at.button(key="compare.next").click().run()
    assert at.query_params["row"] in ("2", ["2"])


def test_run_is_compared_with_itself_by_its_contestants(session: Session, tmp_path: Path) -> None:
    """One run alone: its first two contestants stand beside each other, and hostile texts are escaped."""
    run_id = done_run(session, tmp_path, questions(8))
    at = opened_page(b=run_id)

    assert at.selectbox(key="compare.pa").value != at.selectbox(key="compare.pb").value
    assert "sandbox/swift → sandbox/scribe" in said(at).replace("\\", "")
    assert "<img" not in "".join(at.markdown[n].value for n in range(len(at.markdown))).replace("\\<", "")


@pytest.mark.parametrize("query", [{"pa": "9.9", "pb": "x", "show": "nope", "row": "<b>"}, {"row": "none"}])
def test_address_that_names_nothing_opens_the_proposed(session: Session, tmp_path: Path, query: dict[str, str]) -> None:
    """Unknown lines, filters and rows fall back to what is proposed."""
    run_id = done_run(session, tmp_path, questions(4))

    assert "1 of 4" in said(opened_page(a=run_id, b=run_id, **query))


def test_address_of_an_unknown_run_is_said(session: Session, tmp_path: Path) -> None:
    """A run that is not there: an error in words."""
    done_run(session, tmp_path, questions(3))

    assert "run" in opened_page(a="nope").error[0].value.lower()


def test_differences_do_not_move_with_the_order_of_rows(session: Session, tmp_path: Path) -> None:
    """The same rows turned round and one copied: the matched rows and their difference stay."""
    first = done_run(session, tmp_path, questions(9))
    second = done_run(session, tmp_path, [*reversed(questions(9)), *questions(1)])
    place = next(iter(lines_of(get_run(session, first))))
    one = pairing(session, first, first, place, place)
    other = pairing(session, first, second, place, place)

    assert {row.key for row in other.rows} == {row.key for row in one.rows}
    assert other.doubles_b == 1
    assert other.score.comparison is not None
    assert other.score.comparison.difference.n == 9
