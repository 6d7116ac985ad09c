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
from assay.workbench.runtime import Runtime

SWIFT, SCRIBE = Contestant("sandbox/swift"), Contestant("sandbox/scribe")
ROWS = "id,q,a\n1,one,billing\n2,two,bug\n3,three,bug\n4,four,bug\n"


def stored(rt: Runtime, content: str, name: str = "t") -> str:
    """A dataset of a file's content."""
    table = kept.read_upload(rt, content.encode(), filename=f"{name}.csv")
    return kept.save_table(rt, table, name=name, source=f"{name}.csv").id


def finished(rt: Runtime, run_id: str) -> RunProgress:
    """The run at rest."""
    return runs.wait_for_run(rt, run_id, timeout_s=60)


def started(rt: Runtime, **more: Any) -> str:
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
    run_id = runs.start_run(rt, RunDraft(stored(rt, ROWS), **values))
    finished(rt, run_id)
    return run_id


def answers(rt: Runtime, run_id: str) -> dict[tuple[int, ...], tuple[str, str]]:
    """Place -> (call of the answer, its text)."""
    query = text(
        "SELECT r.row, r.prompt, r.contestant, r.sample, r.call_id, t.output FROM result r JOIN result_text t "
        "ON t.run_id = r.run_id AND t.cell = r.cell WHERE r.run_id = :run"
    )
    with rt.store.read() as connection:
        return {tuple(row[:4]): (row[4], row[5]) for row in connection.execute(query, {"run": run_id})}


def calls(rt: Runtime) -> int:
    """Calls that were ever sent."""
    with rt.store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM call")).scalar_one())


def test_growth_on_every_axis_asks_only_the_new_cells(rt: Runtime) -> None:
    """A model, a prompt, samples and rows at once: the old answers stand, and each new cell is asked once."""
    run_id = started(rt)
    before = answers(rt, run_id)
    wanted = Growth(contestants=(SCRIBE,), prompts=(Prompt("Again: {{q}}"),), samples=3, rows=4)

    found = growth.grow_run(rt, run_id, wanted)
    state = finished(rt, run_id)

    after = answers(rt, run_id)
    assert (found.cells_before, found.cells, found.missing.calls, found.added.calls) == (2, 48, 46, 46)
    assert (state.state, state.cells, state.done, state.failed) == ("done", 48, 48, 0)
    assert {place: after[place] for place in before} == before
    assert calls(rt) == 48
    assert len(after) == 48
    (change,) = growth.history(rt, run_id)
    assert change.words == "added scribe and prompt 2, raised samples from 1 to 3, added 2 rows"


def test_estimate_of_a_growth_is_the_estimate_of_its_cells(rt: Runtime) -> None:
    """Half of a run added later is estimated like that half alone; cells that were missing are sent, too."""
    run_id = started(rt)
    runs.pause_run(rt, run_id)
    grown = growth.estimate_growth(rt, run_id, Growth(contestants=(SCRIBE,)))
    alone = runs.estimate(rt, RunDraft(stored(rt, ROWS), (Prompt("{{q}}", "Be brief."),), (SCRIBE,), limit=2))
    rt.store.writer.call(lambda c: c.execute(text("DELETE FROM result WHERE row = 1")))
    partial = growth.estimate_growth(rt, run_id, Growth(contestants=(SCRIBE,)))

    assert (grown.missing.cost, grown.missing.calls) == (alone.cost, 2)
    assert (partial.missing.calls, partial.added.calls) == (3, 2)
    assert [share.calls for share in partial.missing.per_contestant] == [1, 2]
    assert partial.added.cost == grown.missing.cost


def test_budget_holds_for_what_is_added(rt: Runtime) -> None:
    """A budget without room for one of the new calls adds nothing; with room for some the run pauses; the proposed one
    surely suffices."""
    run_id = started(rt)
    runs.continue_run(rt, run_id, budget_usd=from_pico(runs.progress(rt, run_id).spent_pico))
    wanted = Growth(contestants=(Contestant("sandbox/atlas-large"),), samples=5)
    found = growth.estimate_growth(rt, run_id, wanted)
    with pytest.raises(BudgetExceeded, match="one call of"):
        growth.grow_run(rt, run_id, wanted)
    assert finished(rt, run_id).cells == 2

    tight = found.committed_pico + (found.missing.cost.dearest or 0)
    growth.grow_run(rt, run_id, wanted, budget_usd=from_pico(tight))
    paused = finished(rt, run_id)

    assert not found.fits
    assert found.proposed_budget_pico is not None
    assert (paused.state, paused.cells) == ("paused", 20)
    assert "budget" in paused.reason
    runs.continue_run(rt, run_id, budget_usd=from_pico(found.proposed_budget_pico))
    done = finished(rt, run_id)
    assert (done.state, done.done) == ("done", 20)
    assert done.spent_pico <= found.proposed_budget_pico


def test_new_rows_become_a_version_that_begins_with_the_old(rt: Runtime) -> None:
    """Rows with new keys are added, those there already stay, changed ones are left out and named."""
    run_id = started(rt)
    before = answers(rt, run_id)
    more = stored(rt, "a,extra,q,id\nbilling,x,one,1\nbug,x,CHANGED,2\nbug,x,nine,9\nbug,x,four,4\n", "more")

    found = growth.grow_run(rt, run_id, Growth(dataset=more))
    finished(rt, run_id)

    run = results.get_run(rt, run_id)
    rows = kept.dataset_rows(rt, run.dataset.id)
    assert (run.dataset.name, run.dataset.version, run.plan.row_count) == ("t", 2, 4)
    assert [row["q"] for row in rows] == ["one", "two", "nine", "four"]
    assert {place: text for place, text in answers(rt, run_id).items() if place in before} == before
    assert found.notes[0] == "1 row is there already."
    assert "1 row is there with other values and left out, for the answers stand: 2." in found.notes[1]
    assert found.notes[2] == "Columns that the run does not have are left out: extra."
    assert growth.history(rt, run_id)[0].words == "added 2 rows (t version 2), left out 1 changed row"


def test_rest_of_the_own_dataset_makes_no_new_version(rt: Runtime) -> None:
    """The dataset that the run was limited to the first rows of holds the new rows already."""
    run_id = started(rt)
    own = results.get_run(rt, run_id).dataset.id

    growth.grow_run(rt, run_id, Growth(dataset=own))

    assert finished(rt, run_id).done == 4
    assert results.get_run(rt, run_id).dataset.id == own
    assert growth.history(rt, run_id)[0].words == "added 2 rows"


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
def test_growth_that_cannot_be_is_refused_before_anything_is_sent(rt: Runtime, wanted: Growth, said: str) -> None:
    """Every refusal is in words, and the run stays as it was."""
    run_id = started(rt)
    before = results.get_run(rt, run_id)

    for act in (growth.estimate_growth, growth.grow_run):
        with pytest.raises(AssayError) as caught:
            act(rt, run_id, wanted)
        assert said in str(caught.value)
    assert results.get_run(rt, run_id) == before
    assert calls(rt) == 2


def test_table_without_new_rows_or_columns_is_refused(rt: Runtime) -> None:
    """What was found is said."""
    run_id = started(rt)
    same, other = stored(rt, "id,q,a\n1,one,billing\n2,x,bug\n", "same"), stored(rt, "id,q\n7,x\n", "other")

    with pytest.raises(AssayError, match=r"no row that the run lacks\. 1 row is there already\. 1 row is there with"):
        growth.estimate_growth(rt, run_id, Growth(dataset=same))
    with pytest.raises(DataError, match="have no column 'a'"):
        growth.estimate_growth(rt, run_id, Growth(dataset=other))


def test_failed_cells_keep_their_record_through_a_growth(rt: Runtime) -> None:
    """Growing asks for new cells; failed ones wait for Retry failed."""
    run_id = started(rt)
    rt.store.writer.call(lambda c: c.execute(text("UPDATE result SET status = 'failed' WHERE row = 1")))
    rt.store.writer.call(lambda c: c.execute(text("UPDATE run SET failed = 1")))

    growth.grow_run(rt, run_id, Growth(contestants=(SCRIBE,)))
    grown = finished(rt, run_id)
    runs.retry_failed(rt, run_id)

    assert (grown.done, grown.failed, calls(rt)) == (4, 1, 4)
    assert finished(rt, run_id).failed == 0
    assert calls(rt) == 5


def test_every_reader_copes_with_a_half_grown_run(rt: Runtime, tmp_path: Path) -> None:
    """Coverage says what is missing; verdict, comparison, rows, cells and all exports work with gaps."""
    run_id, other = started(rt), started(rt, name="other")
    set_faults(rt, [FaultSetting("402_credits", 1)])
    growth.grow_run(rt, run_id, Growth(contestants=(SCRIBE,), samples=2, rows=4))
    paused = finished(rt, run_id)

    board = {line.label: line for line in standing.scoreboard(rt, run_id)}
    assert (paused.state, paused.done, paused.cells) == ("paused", 2, 16)
    assert (board["swift"].coverage, board["scribe"].coverage, board["scribe"].score) == (0.25, 0, None)
    assert standing.verdict(rt, run_id).startswith("swift scores 0.00, on 2 rows: no answer is right.")
    found = compare.compare_runs(rt, other, run_id)
    assert (found.rows, found.rows_only_b, found.only_b) == (2, 2, ("scribe",))
    assert "Run B is not complete: it is paused." in found.notes
    page = results.rows_page(rt, run_id)
    assert [len(row.cells) for row in page.rows] == [1, 1]
    assert results.cell_detail(rt, run_id, page.rows[1].cells[0].cell).record.values[1] == "two"
    for kind in exports.KINDS:
        target = io.BytesIO()
        exports.export_run(rt, run_id, kind, target)
        assert target.getvalue()


def test_growth_of_a_run_at_work_is_refused(rt: Runtime) -> None:
    """The cure is to pause it."""
    run_id = started(rt)
    rt.store.writer.call(lambda c: c.execute(text("UPDATE run SET state = 'running', lease_until_ms = 99999999999999")))

    with pytest.raises(AssayError, match="at rest can grow"):
        growth.grow_run(rt, run_id, Growth(samples=2))


def test_identical_requests_are_never_merged_across_samples(rt: Runtime) -> None:
    """With the cache on and a seed of the contestant's own: rows share an answer, samples do not."""
    run_id = started(
        rt, prompts=(Prompt("the same"),), contestants=(Contestant("sandbox/swift", {"seed": 5}),), cache=True
    )
    assert calls(rt) == 1

    growth.grow_run(rt, run_id, Growth(samples=3))
    done = finished(rt, run_id)

    assert (done.done, done.cells) == (6, 6)
    assert calls(rt) == 3


def test_estimate_is_judged_with_what_was_added(rt: Runtime) -> None:
    """The estimates of start and growth add up; only a complete run has an error."""
    run_id = started(rt, budget_usd=None)
    first = outcome.estimate_outcome(rt, run_id)
    found = growth.grow_run(rt, run_id, Growth(contestants=(SCRIBE,)), budget_usd=Decimal(1))
    state = finished(rt, run_id)

    both = outcome.estimate_outcome(rt, run_id)

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


def test_run_without_an_estimate_has_no_outcome(rt: Runtime) -> None:
    """Nothing was estimated, so nothing is judged."""
    run_id = started(rt)
    rt.store.writer.call(lambda c: c.execute(text("UPDATE run SET estimate_json = '{}'")))

    assert outcome.estimate_outcome(rt, run_id) is None


def test_further_contestants_start_from_what_the_others_share(rt: Runtime) -> None:
    """Parameters that all have are kept, others are not guessed."""
    run_id = started(
        rt,
        contestants=(
            Contestant("sandbox/swift", {"temperature": 0, "max_tokens": 9}, {"zdr": True}),
            Contestant("sandbox/scribe", {"temperature": 0, "max_tokens": 8}),
        ),
    )

    assert growth.shared_settings(results.get_run(rt, run_id).plan) == ({"temperature": 0}, {})


def test_new_rows_bring_their_data_policy(rt: Runtime) -> None:
    """Rows under a policy take the run's dataset under it; where nobody fits, they are refused before any call."""
    run_id = started(rt)
    stored(rt, "id,q,a\n7,x,bug\n", "secret")
    stored(rt, "id,q,a\n8,x,bug\n", "closed")
    policies.set_policy(rt, "secret", policies.make_policy(only=["eastbay"]))
    policies.set_policy(rt, "closed", policies.make_policy(only=["northwind"]))

    found = growth.grow_run(rt, run_id, Growth(dataset="secret"))
    state = finished(rt, run_id)

    assert "The rows bring the data policy of secret, and t comes under it" in found.notes[0]
    assert (state.done, state.failed) == (3, 0)
    assert policies.get_policy(rt, "t") == {"only": ["eastbay"]}
    with pytest.raises(PolicyError, match="is refused"):
        growth.grow_run(rt, run_id, Growth(dataset="closed"))
    assert calls(rt) == 3


def test_rows_without_an_id_are_told_by_their_variables(rt: Runtime) -> None:
    """A corrected expected answer makes no new row: it is the same row, changed, and left out."""
    dataset = stored(rt, "q,expected\none,billing\ntwo,bug\n", "plain")
    run_id = runs.start_run(rt, RunDraft(dataset, (Prompt("{{q}}"),), (SWIFT,), limit=2))
    finished(rt, run_id)
    more = stored(rt, "q,expected\none,billing\ntwo,CORRECTED\nthree,bug\n", "corrected")

    found = growth.grow_run(rt, run_id, Growth(dataset=more))

    assert finished(rt, run_id).cells == 3
    assert found.rows is not None
    assert (found.rows.known, len(found.rows.changed), len(found.rows.rows)) == (1, 1, 1)
