"""The batch page through AppTest: what another page has sent, and the prompt that a file suggests."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from assay.domain.contestant import Prompt
from assay.views.state import BatchSeed
from assay.workbench.datasets import kept
from assay.workbench.running import runs
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]


def opened_page(*, seed: BatchSeed | None = None, dataset: str = "") -> AppTest:
    """The page, with what another page has sent and the dataset of its URL."""
    page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=30).run()
    page.switch_page(str(ROOT / "pages/batch.py"))
    if seed is not None:
        page.session_state["batch.seed"] = seed
    if dataset:
        page.query_params["dataset"] = dataset
    page.run()
    assert not page.exception
    return page


def test_prompt_sent_from_the_playground_is_shown_before_there_is_data(session: Session) -> None:
    """Send to batch leads to a page that shows the prompt and says what is missing."""
    page = opened_page(seed=BatchSeed(Prompt("Summarise {{ticket}}"), ("sandbox/swift",)))

    assert any("Your prompt is here" in box.value for box in page.info)
    assert [block.value for block in page.code] == ["Summarise {{ticket}}"]


def test_page_without_a_sent_prompt_asks_for_data_alone(session: Session) -> None:
    """A first visit sees the data block and nothing of a prompt."""
    assert not any("Your prompt" in box.value for box in opened_page().info)


def test_file_with_odd_headers_suggests_its_longest_text(session: Session, tmp_path: Path) -> None:
    """Names that give nothing away: the prompt holds the column of texts, not the number in front."""
    table = tmp_path / "odd.csv"
    table.write_text("Ticket Nr.;Kunden-Text (de);Typ\n1;Rechnung doppelt, bitte prüfen;billing\n2;App stürzt ab;bug\n")

    page = opened_page(dataset=kept.open_dataset(session, str(table)).id)

    assert page.text_area(key="batch.prompt.0").value == "{{Kunden-Text (de)}}"


def test_pilot_is_offered_beside_start_and_pauses_after_five_rows(session: Session, tmp_path: Path) -> None:
    """One click asks five random rows; the run waits with the bill that they foretell."""
    table = tmp_path / "many.csv"
    table.write_text("q\n" + "".join(f"Question {n}\n" for n in range(40)))
    page = opened_page(
        seed=BatchSeed(Prompt("{{q}}"), ("sandbox/swift",)), dataset=kept.open_dataset(session, str(table)).id
    )

    page.button(key="batch.pilot").click().run()

    (run,) = runs.list_runs(session)
    state = runs.wait_for_run(session, run.id, timeout_s=30)
    assert (state.state, state.done) == ("paused", 5)
    assert state.forecast is not None


def test_pilot_of_a_few_rows_is_not_offered(session: Session, tmp_path: Path) -> None:
    """Ten rows are no more than two pilots: Start stands alone."""
    table = tmp_path / "few.csv"
    table.write_text("q\n" + "".join(f"Question {n}\n" for n in range(10)))
    page = opened_page(
        seed=BatchSeed(Prompt("{{q}}"), ("sandbox/swift",)), dataset=kept.open_dataset(session, str(table)).id
    )

    assert "batch.pilot" not in {button.key for button in page.button}
    assert "batch.start" in {button.key for button in page.button}


def test_budget_ends_the_range_of_the_estimate(session: Session, tmp_path: Path) -> None:
    """A budget below the upper end is the upper end; a generous one is what holds, for retries may be billed."""
    page = opened_page(dataset=_questions(session, tmp_path))
    page.number_input(key="batch.budget").set_value(1000.0).run()
    generous = _estimate(page)
    expected = float(generous.partition("about **$")[2].partition("**")[0])
    page.number_input(key="batch.budget").set_value(expected * 1.01).run()
    tight = _estimate(page)

    assert "never above $1,000.00" in generous
    ends = tight.partition(" to $")[2]
    assert ends.partition(",")[0] == ends.partition("never above $")[2].partition(",")[0]


def test_one_line_without_an_answer_is_spoken_of_in_the_singular(session: Session, tmp_path: Path) -> None:
    """The grader leaves one row out: it, not they."""
    table = tmp_path / "tickets.csv"
    table.write_text("ticket,expected\nOne,bug\nTwo,\n")
    page = opened_page(dataset=kept.open_dataset(session, str(table)).id)

    said = " ".join(block.value for block in page.caption).replace("\\", "")
    assert "in 1 row of 2 without an expected answer: it is left out of its scores" in said


def _questions(session: Session, folder: Path) -> str:
    """A dataset of twenty questions."""
    table = folder / "questions.csv"
    table.write_text("question,expected\n" + "".join(f"What is {n}?,{n}\n" for n in range(20)))
    return kept.open_dataset(session, str(table)).id


def _estimate(page: AppTest) -> str:
    """The line of the estimate."""
    return next(b.value for b in page.markdown if "calls**" in b.value).replace("\\", "")
