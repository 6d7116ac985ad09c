"""What a draft leaves out is said before anything is sent, and what asks nothing is not paid."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.workbench.datasets import kept
from assay.workbench.results import standing
from assay.workbench.running import runs
from assay.workbench.running.review import review
from assay.workbench.session import Session

ROWS = "q,input,label\nHow are you?,,fine\n ,,none\nWho are you?,Ada,\n,,none\nWhat is it?,a cat,cat\n"
"""Five rows: an empty input, nothing to ask, no label, nothing to ask, a whole one."""


def draft(session: Session, prompt: str = "{{q}} {{input}}", *, content: str = ROWS, **more: object) -> runs.RunDraft:
    """A draft over the rows, graded by the label."""
    table = kept.read_upload(session, content.encode(), filename="q.csv")
    dataset = kept.save_table(session, table, name="q", source="q")
    values: dict[str, object] = {"graders": (GraderSpec("equals"),), "expected_column": "label"} | more
    return runs.RunDraft(dataset.id, (Prompt(prompt),), (Contestant("sandbox/swift"),), **values)  # type: ignore[arg-type]


def test_rows_are_told_by_what_they_lack(session: Session) -> None:
    """Calls that are not sent, gaps that are, and rows that a grader leaves out, each with its count."""
    said = " ".join(list(review(session, draft(session, samples=2)).notes))

    assert "2 prompts of rows without anything to ask: 4 calls not sent." in said
    assert "{{input}} is empty in 1 row of 5; sent all the same." in said
    assert "equals has nothing to go by in 1 row of 5 without an expected answer: it is left out" in said


def test_row_without_anything_to_ask_is_not_sent_or_paid(session: Session) -> None:
    """Its cell is a record with the reason and costs nothing; the estimate does not count it."""
    wanted = draft(session)

    run_id = runs.start_run(session, wanted)
    done = runs.wait_for_run(session, run_id, timeout_s=30)

    with session.store.read() as connection:
        calls = connection.execute(text("SELECT count(DISTINCT cell) FROM call")).scalar_one()
        errors = (
            connection.execute(text("SELECT error FROM result_text WHERE error != '' ORDER BY cell")).scalars().all()
        )
    assert (runs.estimate(session, wanted).calls, calls) == (3, 3)
    assert (done.state, done.done, done.failed) == ("done", 5, 2)
    assert all(error.startswith("The row has nothing to ask: {{q}}, {{input}} are empty.") for error in errors)
    assert len(errors) == 2


def test_row_without_an_expected_answer_is_left_out_not_wrong(session: Session) -> None:
    """It counts in the coverage alone; another grader of the row decides by itself."""
    both = (GraderSpec("contains"), GraderSpec("regex", {"pattern": "."}))
    bare = runs.start_run(session, draft(session, graders=both[:1]))
    pair = runs.start_run(session, draft(session, graders=both))
    for run_id in (bare, pair):
        runs.wait_for_run(session, run_id, timeout_s=30)

    assert standing.scoreboard(session, bare)[0].scored == 2
    assert standing.scoreboard(session, pair)[0].scored == 3


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Say {q}", "names the column 'q' without double braces"),
        ("${q}", "write {{q}}"),
        ("{% if q %}{{q}}{% endif %}", "'{% if', which is not run"),
        ("{# a note #}{{q}}", "'{#', which is not run"),
    ],
)
def test_template_of_another_tool_is_pointed_out(session: Session, prompt: str, said: str) -> None:
    """What is not replaced is sent as it stands, and that is said."""
    assert said in " ".join(list(review(session, draft(session, prompt)).notes))


def test_whole_rows_and_plain_templates_are_not_remarked_on(session: Session) -> None:
    """Nothing to say, nothing said."""
    wanted = draft(session, '{"json": {"a": "{{q}}"}}', content="q,label\na,b\n")

    assert (
        list(review(session, replace(wanted, contestants=(Contestant("sandbox/swift", {"max_tokens": 9}),))).notes)
        == []
    )


def test_pattern_that_no_row_has_is_refused(session: Session) -> None:
    """A regex grader without a pattern needs a column of them."""
    problems = list(review(session, draft(session, graders=(GraderSpec("regex"),), expected_column=None)).problems)

    assert problems == ["The grader regex needs an expected column. Choose one."]


def test_longest_answer_that_a_run_adds_is_said_before_the_start(session: Session) -> None:
    """Per contestant: who sets one is not named, and what is said is what is sent and bounded."""
    mine = (Contestant("sandbox/swift"), Contestant("sandbox/sage"), Contestant("sandbox/scribe", {"max_tokens": 7}))
    wanted = replace(draft(session), contestants=mine)
    (said,) = [note for note in list(review(session, wanted).notes) if "max_tokens" in note and "swift" in note]
    limit = session.dispatcher.prices.added_max_tokens(mine[0])

    assert f"max_tokens: {limit:,} is added" in said
    assert "scribe" not in said
    assert session.dispatcher.prices.added_max_tokens(Contestant("sandbox/swift", {"max_completion_tokens": 9})) is None
    run_id = runs.start_run(session, wanted)
    runs.wait_for_run(session, run_id, timeout_s=30)
    sent = [body for body in session.built_in_sandbox.books.requests if body["model"] == "sandbox/swift"]
    assert {body["max_tokens"] for body in sent} == {limit}
