"""Runs that grow: only the missing cells are asked, what is there stays, and every reader copes with the gaps."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import AssayError, BudgetExceeded, DataError, PolicyError
from assay.money import from_pico
from assay.workbench.datasets import kept
from assay.workbench.gateway.faults import FaultSetting, set_faults
from assay.workbench.results import cells as results
from assay.workbench.results import compare, exports, outcome, standing
from assay.workbench.running import growth, policies, runs
from assay.workbench.running.growth import Growth
from assay.workbench.running.runs import RunDraft, RunProgress
from assay.workbench.session import Session

SWIFT, SCRIBE = Contestant("sandbox/swift"), Contestant("sandbox/scribe")
ROWS = "id,q,a\n1,one,billing\n2,two,bug\n3,three,bug\n4,four,bug\n"


def stored(session: Session, content: str, name: str = "t") -> str:
    """A dataset of a file's content."""
    table = kept.read_upload(session, content.encode(), filename=f"{name}.csv")
    return kept.save_table(session, table, name=name, source=f"{name}.csv").id


def finished(session: Session, run_id: str) -> RunProgress:
    """The run at rest."""
    return runs.wait_for_run(session, run_id, timeout_s=60)


def started(session: Session, **more: Any) -> str:
    """A done run: two rows of four, one prompt, one contestant."""
    values: dict[str, Any] = {
        "prompts": (Prompt("{{q}}", system="Be brief."),),
        "contestants": (SWIFT,),
        "limit": 2,
        "graders": (GraderSpec("contains"),),
        "expected_column": "a",
        "budget_usd": Decimal(5),
        **more,
    }
    run_id = runs.start_run(session, RunDraft(stored(session, ROWS), **values))
    finished(session, run_id)
    return run_id


def answers(session: Session, run_id: str) -> dict[tuple[int, ...], tuple[str, str]]:
    """Place -> (call of the answer, its text)."""
    query = text(
        "SELECT r.row, r.prompt, r.contestant, r.sample, r.call_id, t.output FROM result r JOIN result_text t "
        "ON t.run_id = r.run_id AND t.cell = r.cell WHERE r.run_id = :run"
    )
    with session.store.read() as connection:
        return {tuple(row[:4]): (row[4], row[5]) for row in connection.execute(query, {"run": run_id})}


def calls(session: Session) -> int:
    """Calls that were ever sent."""
    with session.store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM call")).scalar_one())


def test_growth_on_every_axis_asks_only_the_new_cells(session: Session) -> None:
    """A model, a prompt, samples and rows at once: the old answers stand, and each new cell is asked once."""
    run_id = started(session)
    before = answers(session, run_id)
    wanted = Growth(contestants=(SCRIBE,), prompts=(Prompt("Again: {{q}}"),), samples=3, rows=4)

    found = growth.grow_run(session, run_id, wanted)
    state = finished(session, run_id)

    after = answers(session, run_id)
    assert (found.cells_before, found.cells, found.missing.calls, found.added.calls) == (2, 48, 46, 46)
    assert (state.state, state.cells, state.done, state.failed) == ("done", 48, 48, 0)
    assert {place: after[place] for place in before} == before
    assert calls(session) == 48
    assert len(after) == 48
    (change,) = growth.history(session, run_id)
    assert change.words == "added scribe and prompt 2, raised samples from 1 to 3, added 2 rows"


def test_estimate_of_a_growth_is_the_estimate_of_its_cells(session: Session) -> None:
    """Half of a run added later is estimated like that half alone; cells that were missing are sent, too."""
    run_id = started(session)
    runs.pause_run(session, run_id)
    grown = growth.estimate_growth(session, run_id, Growth(contestants=(SCRIBE,)))
    alone = runs.estimate(session, RunDraft(stored(session, ROWS), (Prompt("{{q}}", "Be brief."),), (SCRIBE,), limit=2))
    session.store.writer.call(lambda c: c.execute(text("DELETE FROM result WHERE row = 1")))
    partial = growth.estimate_growth(session, run_id, Growth(contestants=(SCRIBE,)))

    assert (grown.missing.cost, grown.missing.calls) == (alone.cost, 2)
    assert (partial.missing.calls, partial.added.calls) == (3, 2)
    assert [share.calls for share in partial.missing.per_contestant] == [1, 2]
    assert partial.added.cost == grown.missing.cost


def test_budget_holds_for_what_is_added(session: Session) -> None:
    """A budget without room for one of the new calls adds nothing; with room for some the run pauses; the proposed one
    surely suffices."""
    run_id = started(session)
    runs.continue_run(session, run_id, budget_usd=from_pico(runs.progress(session, run_id).spent_pico))
    finished(session, run_id)
    wanted = Growth(contestants=(Contestant("sandbox/atlas-large"),), samples=5)
    found = growth.estimate_growth(session, run_id, wanted)
    with pytest.raises(BudgetExceeded, match="one call of"):
        growth.grow_run(session, run_id, wanted)
    assert finished(session, run_id).cells == 2

    tight = found.committed_pico + (found.missing.cost.dearest or 0)
    growth.grow_run(session, run_id, wanted, budget_usd=from_pico(tight))
    paused = finished(session, run_id)

    assert not found.fits
    assert found.proposed_budget_pico is not None
    assert (paused.state, paused.cells) == ("paused", 20)
    assert "budget" in paused.reason
    runs.continue_run(session, run_id, budget_usd=from_pico(found.proposed_budget_pico))
    done = finished(session, run_id)
    assert (done.state, done.done) == ("done", 20)
    assert done.spent_pico <= found.proposed_budget_pico


def test_new_rows_become_a_version_that_begins_with_the_old(session: Session) -> None:
    """Rows with new keys are added, those there already stay, changed ones are left out and named."""
    run_id = started(session)
    before = answers(session, run_id)
    more = stored(session, "a,extra,q,id\nbilling,x,one,1\nbug,x,CHANGED,2\nbug,x,nine,9\nbug,x,four,4\n", "more")

    found = growth.grow_run(session, run_id, Growth(dataset=more))
    finished(session, run_id)

    run = results.get_run(session, run_id)
    rows = kept.dataset_rows(session, run.dataset.id)
    assert (run.dataset.name, run.dataset.version, run.plan.row_count) == ("t", 2, 4)
    assert [row["q"] for row in rows] == ["one", "two", "nine", "four"]
    assert {place: text for place, text in answers(session, run_id).items() if place in before} == before
    assert found.notes[0] == "1 row is there already."
    assert "1 row is there with other values and left out, for the answers stand: 2." in found.notes[1]
    assert found.notes[2] == "Columns that the run does not have are left out: extra."
    assert growth.history(session, run_id)[0].words == "added 2 rows (t version 2), left out 1 changed row"


def test_rest_of_the_own_dataset_makes_no_new_version(session: Session) -> None:
    """The dataset that the run was limited to the first rows of holds the new rows already."""
    run_id = started(session)
    own = results.get_run(session, run_id).dataset.id

    growth.grow_run(session, run_id, Growth(dataset=own))

    assert finished(session, run_id).done == 4
    assert results.get_run(session, run_id).dataset.id == own
    assert growth.history(session, run_id)[0].words == "added 2 rows"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Growth(), "Nothing would be added"),
        (Growth(contestants=(SWIFT,)), "'swift' is in the run already"),
        (Growth(contestants=(Contestant("sandbox/none"),)), "no model 'sandbox/none'"),
        (Growth(contestants=(Contestant("sandbox/scribe", {"temperature": 9}),)), "temperature is 9"),
        (Growth(prompts=(Prompt("{{nope}}"),)), "{{nope}}"),
        (Growth(prompts=(Prompt(" "),)), "prompt is empty"),
        (Growth(samples=101), "within 1 to 100"),
        (Growth(rows=1), "cannot shrink"),
        (Growth(rows=5), "There are 4 rows, not 5"),
    ],
)
def test_growth_that_cannot_be_is_refused_before_anything_is_sent(session: Session, wanted: Growth, said: str) -> None:
    """Every refusal is in words, and the run stays as it was."""
    run_id = started(session)
    before = results.get_run(session, run_id)

    for act in (growth.estimate_growth, growth.grow_run):
        with pytest.raises(AssayError) as caught:
            act(session, run_id, wanted)
        assert said in str(caught.value)
    assert results.get_run(session, run_id) == before
    assert calls(session) == 2


def test_table_without_new_rows_or_columns_is_refused(session: Session) -> None:
    """What was found is said."""
    run_id = started(session)
    same, other = stored(session, "id,q,a\n1,one,billing\n2,x,bug\n", "same"), stored(session, "id,q\n7,x\n", "other")

    with pytest.raises(AssayError, match=r"no row that the run lacks\. 1 row is there already\. 1 row is there with"):
        growth.estimate_growth(session, run_id, Growth(dataset=same))
    with pytest.raises(DataError, match="have no column 'a'"):
        growth.estimate_growth(session, run_id, Growth(dataset=other))


def test_failed_cells_keep_their_record_through_a_growth(session: Session) -> None:
    """Growing asks for new cells; failed ones wait for Retry failed."""
    run_id = started(session)
    session.store.writer.call(lambda c: c.execute(text("UPDATE result SET status = 'failed' WHERE row = 1")))
    session.store.writer.call(lambda c: c.execute(text("UPDATE run SET failed = 1")))

    growth.grow_run(session, run_id, Growth(contestants=(SCRIBE,)))
    grown = finished(session, run_id)
    runs.retry_failed(session, run_id)

    assert (grown.done, grown.failed, calls(session)) == (4, 1, 4)
    assert finished(session, run_id).failed == 0
    assert calls(session) == 5


def test_every_reader_copes_with_a_half_grown_run(session: Session, tmp_path: Path) -> None:
    """Coverage says what is missing; verdict, comparison, rows, cells and all exports work with gaps."""
    run_id, other = started(session), started(session, name="other")
    set_faults(session, [FaultSetting("402_credits", 1)])
    growth.grow_run(session, run_id, Growth(contestants=(SCRIBE,), samples=2, rows=4))
    paused = finished(session, run_id)

    board = {line.label: line for line in standing.scoreboard(session, run_id)}
    assert (paused.state, paused.done, paused.cells) == ("paused", 2, 16)
    assert (board["swift"].coverage, board["scribe"].coverage, board["scribe"].score) == (0.25, 0, None)
    assert standing.verdict(session, run_id).startswith("No contestant passed a row: is the grader right?")
    found = compare.compare_runs(session, other, run_id)
    assert (found.rows, found.rows_only_b, found.only_b) == (2, 2, ("scribe",))
    assert "Run B is not complete: it is paused." in found.notes
    page = results.rows_page(session, run_id)
    assert [len(row.cells) for row in page.rows] == [1, 1]
    assert results.cell_detail(session, run_id, page.rows[1].cells[0].cell).record.values[1] == "two"
    for kind in exports.KINDS:
        target = io.BytesIO()
        exports.export_run(session, run_id, kind, target)
        assert target.getvalue()


def test_growth_of_a_run_at_work_is_refused(session: Session) -> None:
    """The cure is to pause it."""
    run_id = started(session)
    session.store.writer.call(
        lambda c: c.execute(text("UPDATE run SET state = 'running', lease_until_ms = 99999999999999"))
    )

    with pytest.raises(AssayError, match="at rest can grow"):
        growth.grow_run(session, run_id, Growth(samples=2))


def test_identical_requests_are_never_merged_across_samples(session: Session) -> None:
    """With the cache on and a seed of the contestant's own: rows share an answer, samples do not."""
    run_id = started(
        session, prompts=(Prompt("the same"),), contestants=(Contestant("sandbox/swift", {"seed": 5}),), cache=True
    )
    assert calls(session) == 1

    growth.grow_run(session, run_id, Growth(samples=3))
    done = finished(session, run_id)

    assert (done.done, done.cells) == (6, 6)
    assert calls(session) == 3


def test_estimate_is_judged_with_what_was_added(session: Session) -> None:
    """The estimates of start and growth add up; only a complete run has an error."""
    run_id = started(session, budget_usd=None)
    first = outcome.estimate_outcome(session, run_id)
    found = growth.grow_run(session, run_id, Growth(contestants=(SCRIBE,)), budget_usd=Decimal(1))
    state = finished(session, run_id)

    both = outcome.estimate_outcome(session, run_id)

    assert first is not None
    assert both is not None
    assert both.expected == (first.expected or 0) + (found.added.cost.expected or 0)
    assert both.spent == both.billed == state.spent_pico > first.spent
    assert both.cost_error == pytest.approx(both.spent / (both.expected or 1) - 1)
    assert both.words.startswith("Estimated $")
    assert f"({round(both.cost_error * 100):+d} %); about" in both.words  # type: ignore[operator]
    assert replace(both, complete=False).words.count("so far") == 2
    assert "price unknown" in replace(both, expected=None).words
    assert (
        "and 1 call of unknown cost (at most $0.50 more)"
        in replace(both, unknown_calls=1, unknown_bound=5 * 10**11).words
    )


def test_run_without_an_estimate_has_no_outcome(session: Session) -> None:
    """Nothing was estimated, so nothing is judged."""
    run_id = started(session)
    session.store.writer.call(lambda c: c.execute(text("UPDATE run SET estimate_json = '{}'")))

    assert outcome.estimate_outcome(session, run_id) is None


def test_further_contestants_start_from_what_the_others_share(session: Session) -> None:
    """Parameters that all have are kept, others are not guessed."""
    run_id = started(
        session,
        contestants=(
            Contestant("sandbox/swift", {"temperature": 0, "max_tokens": 9}, {"zdr": True}),
            Contestant("sandbox/scribe", {"temperature": 0, "max_tokens": 8}),
        ),
    )

    assert growth.shared_settings(results.get_run(session, run_id).plan) == ({"temperature": 0}, {})


def test_new_rows_bring_their_data_policy(session: Session) -> None:
    """Rows under a policy take the run's dataset under it; where nobody fits, they are refused before any call."""
    run_id = started(session)
    stored(session, "id,q,a\n7,x,bug\n", "secret")
    stored(session, "id,q,a\n8,x,bug\n", "closed")
    policies.set_policy(session, "secret", policies.make_policy(only=["eastbay"]))
    policies.set_policy(session, "closed", policies.make_policy(only=["northwind"]))

    found = growth.grow_run(session, run_id, Growth(dataset="secret"))
    state = finished(session, run_id)

    assert "The rows bring the data policy of secret, and t comes under it" in found.notes[0]
    assert (state.done, state.failed) == (3, 0)
    assert policies.get_policy(session, "t") == {"only": ["eastbay"]}
    with pytest.raises(PolicyError, match="is refused"):
        growth.grow_run(session, run_id, Growth(dataset="closed"))
    assert calls(session) == 3


def test_rows_without_an_id_are_told_by_their_variables(session: Session) -> None:
    """A corrected expected answer makes no new row: it is the same row, changed, and left out."""
    dataset = stored(session, "q,expected\none,billing\ntwo,bug\n", "plain")
    run_id = runs.start_run(session, RunDraft(dataset, (Prompt("{{q}}"),), (SWIFT,), limit=2))
    finished(session, run_id)
    more = stored(session, "q,expected\none,billing\ntwo,CORRECTED\nthree,bug\n", "corrected")

    found = growth.grow_run(session, run_id, Growth(dataset=more))

    assert finished(session, run_id).cells == 3
    assert found.rows is not None
    assert (found.rows.known, len(found.rows.changed), len(found.rows.rows)) == (1, 1, 1)
