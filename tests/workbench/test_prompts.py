"""The prompt library: version rules, labels, history, runs that used a version, comparison, preview."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command

from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import Message
from assay.domain.score import GraderSpec
from assay.errors import DataError, NotFound
from assay.prompts.differences import line_diff, prompt_diff
from assay.prompts.template import convert, guess_foreign, pieces
from assay.store.engine import open_store
from assay.store.migrations.upgrade import config
from assay.workbench import prompts
from assay.workbench.datasets import kept
from assay.workbench.running import growth, runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session

FIRST = Prompt("Category of {{ticket}}?", "Be brief.")
SECOND = Prompt("Which of billing, bug, account? {{ticket}}", "Be brief.")


def finished_run(session: Session, *used: Prompt, rows: int = 4) -> str:
    """A finished run of the example tickets with these prompts."""
    dataset = kept.open_dataset(session, "support_tickets")
    draft = RunDraft(
        dataset_id=dataset.id,
        prompts=used,
        contestants=(Contestant("sandbox/swift"), Contestant("sandbox/scribe")),
        graders=(GraderSpec("contains"),),
        expected_column="category",
        limit=rows,
    )
    run_id = runs.start_run(session, draft)
    runs.wait_for_run(session, run_id, timeout_s=60)
    return run_id


def test_save_other_content_is_the_next_version(session: Session) -> None:
    """Changed text counts up; the same text is the version that it was, newest or not."""
    saved = [prompts.save_prompt(session, " triage ", p, note="why") for p in (FIRST, SECOND, SECOND, FIRST)]

    assert [(s.version.version, s.is_new) for s in saved] == [(1, True), (2, True), (2, False), (1, False)]
    assert [v.version for v in prompts.versions(session, "triage")] == [2, 1]
    assert saved[0].version.prompt == FIRST
    assert saved[0].version.note == "why"


@pytest.mark.parametrize(
    ("name", "prompt", "said"),
    [
        ("", FIRST, "no name"),
        ("a@b", FIRST, "cannot be"),
        ("a:1", FIRST, "cannot be"),
        ("a\nb", FIRST, "cannot be"),
        ("n" * 101, FIRST, "101 characters"),
        ("a", Prompt(" ", "system"), "empty"),
        ("a", Prompt("", messages=(Message("user", " "),)), "empty"),
        ("a", Prompt("half \ud800"), "half a character"),
        ("a", Prompt("x" * 1_000_001), "1,000,001 characters"),
    ],
)
def test_save_refuses_in_words(session: Session, name: str, prompt: Prompt, said: str) -> None:
    """A name or prompt that cannot be kept is refused, and nothing is kept."""
    with pytest.raises(DataError, match=said):
        prompts.save_prompt(session, name, prompt)
    assert prompts.count_prompts(session) == 0


def test_label_points_at_exactly_one_version(session: Session) -> None:
    """Moving a label is one action: the new version has it, the old one does not, the history shows both."""
    prompts.save_prompt(session, "triage", FIRST)
    prompts.save_prompt(session, "triage", SECOND)
    prompts.set_label(session, "triage", "Production", 1)
    prompts.set_label(session, "triage", "production", 2)

    assert [(v.version, v.labels) for v in prompts.versions(session, "triage")] == [(2, ("production",)), (1, ())]
    moved = prompts.history(session, "triage")[0]
    assert (moved.kind, moved.detail, moved.before, moved.version) == ("labelled", "production", 1, 2)
    prompts.set_label(session, "triage", "production", None)
    assert prompts.list_prompts(session)[0].labels == ()
    assert prompts.history(session, "triage")[0].kind == "unlabelled"


@pytest.mark.parametrize(("label", "version", "error"), [("2", 1, DataError), ("", 1, DataError), ("x", 3, NotFound)])
def test_label_that_cannot_be_is_refused(session: Session, label: str, version: int, error: type[Exception]) -> None:
    """A label is a word, and its version exists."""
    prompts.save_prompt(session, "triage", FIRST)

    with pytest.raises(error):
        prompts.set_label(session, "triage", label, version)
    assert prompts.versions(session, "triage")[0].labels == ()


def test_reference_names_newest_label_or_version(session: Session) -> None:
    """NAME, NAME@label and NAME:1 each name one version; what does not exist is said with what does."""
    prompts.save_prompt(session, "team/triage", FIRST)
    prompts.save_prompt(session, "team/triage", SECOND)
    prompts.set_label(session, "team/triage", "production", 1)

    found = [prompts.find_version(session, f"team/triage{end}").version for end in ("", "@production", ":1", ":v2")]
    assert found == [2, 1, 1, 2]
    assert [(r.text, r.version) for r in prompts.references(session)] == [
        ("team/triage@production", 1),
        ("team/triage:2", 2),
        ("team/triage:1", 1),
    ]
    for wrong, said in (
        ("none", "no prompt"),
        ("team/triage@live", "production"),
        ("team/triage:7", "newest"),
        ("team/triage:x", "names no version"),
    ):
        with pytest.raises(NotFound, match=said):
            prompts.find_version(session, wrong)


def test_rename_takes_versions_labels_and_history_along(session: Session) -> None:
    """Everything is found under the new name; a name that is taken is refused."""
    prompts.save_prompt(session, "old", FIRST)
    prompts.save_prompt(session, "taken", SECOND)
    prompts.set_label(session, "old", "staging", 1)
    assert prompts.rename_prompt(session, "old", " new ") == "new"

    assert prompts.find_version(session, "new@staging").version == 1
    assert [line.kind for line in prompts.history(session, "new")] == ["renamed", "labelled", "saved"]
    with pytest.raises(NotFound):
        prompts.versions(session, "old")
    with pytest.raises(DataError, match="already"):
        prompts.rename_prompt(session, "new", "taken")


def test_archived_prompt_leaves_the_list_and_keeps_its_versions(session: Session) -> None:
    """Archiving hides; saving under the name brings it back."""
    prompts.save_prompt(session, "triage", FIRST)
    prompts.archive_prompt(session, "triage")

    assert prompts.list_prompts(session) == []
    assert [p.name for p in prompts.list_prompts(session, archived=True)] == ["triage"]
    assert prompts.find_version(session, "triage").archived
    prompts.save_prompt(session, "triage", FIRST)
    assert prompts.count_prompts(session) == 1
    assert [line.kind for line in prompts.history(session, "triage")] == ["restored", "archived", "saved"]


def test_search_reads_names_texts_and_notes(session: Session) -> None:
    """Any case, quotes and line breaks included; a percent sign is no wildcard."""
    prompts.save_prompt(session, "Größe", Prompt('Say "hi"\nnow'), note="for Ana")
    prompts.save_prompt(session, "other", Prompt("100 %"))

    for words in ("größe", 'say "hi"\nnow', "ANA"):
        assert [p.name for p in prompts.list_prompts(session, search=words)] == ["Größe"], words
    assert [p.name for p in prompts.list_prompts(session, search="%")] == ["other"]


def test_runs_that_used_a_version_are_counted_by_content(session: Session) -> None:
    """A run counts for every version that it held, whoever wrote the text; scores stand beside each."""
    run_id = finished_run(session, FIRST, SECOND)
    finished_run(session, Prompt("Other {{ticket}}"), rows=1)
    prompts.save_prompt(session, "triage", FIRST)
    prompts.save_prompt(session, "triage", SECOND)

    (summary,) = prompts.list_prompts(session)
    assert (summary.runs, prompts.count_runs(session, "triage")) == (1, 1)
    assert summary.last_used_ms == runs.list_runs(session)[1].created_ms
    used = prompts.uses(session, "triage")
    assert [(u.run_id, u.version, u.answered, u.scored) for u in used] == [(run_id, 2, 8, 8), (run_id, 1, 8, 8)]
    assert all(u.value is not None and u.value == u.pass_rate and 0 <= u.value <= 1 for u in used)
    assert used[0].dataset == "support_tickets"


def test_prompt_added_to_a_run_is_linked_too(session: Session) -> None:
    """A run that grew by a prompt is found under it, at its place in the plan."""
    run_id = finished_run(session, FIRST, rows=1)
    saved = prompts.save_prompt(session, "triage", SECOND).version
    growth.grow_run(session, run_id, growth.Growth(prompts=(prompts.run_prompt(saved),)))
    runs.wait_for_run(session, run_id, timeout_s=60)

    assert [(u.run_id, u.position, u.answered) for u in prompts.uses(session, "triage")] == [(run_id, 1, 2)]


def test_duel_pairs_two_versions_of_the_same_run(session: Session) -> None:
    """The versions are compared on their common rows, and the means agree with the scores of each."""
    finished_run(session, FIRST, SECOND, rows=12)
    first, second = (prompts.save_prompt(session, "triage", p).version for p in (FIRST, SECOND))

    (duel,) = prompts.duels(session, first, second)
    scores = {use.version: use.value for use in prompts.uses(session, "triage")}
    found = duel.comparison
    assert (found.second.value, found.first.value) == pytest.approx((scores[1], scores[2]))
    assert found.difference.n == 12
    assert found.difference.value == pytest.approx(found.first.value - found.second.value)
    third = prompts.save_prompt(session, "triage", Prompt("x")).version
    assert prompts.duels(session, first, third) == []


def test_old_database_learns_which_runs_used_what(session: Session, tmp_path: Path) -> None:
    """A database from before the library gets its runs' prompts from their plans."""
    run_id = finished_run(session, FIRST, SECOND, rows=1)
    session.store.writer.call(lambda c: command.downgrade(config(c), "0004"))
    open_store(session.store.url).close()

    prompts.save_prompt(session, "triage", SECOND)
    assert [(u.run_id, u.position) for u in prompts.uses(session, "triage")] == [(run_id, 1)]


def test_preview_is_what_will_be_sent(session: Session) -> None:
    """The first row in the prompt; a variable that the row lacks is named instead."""
    dataset = kept.open_dataset(session, "support_tickets")
    ticket = kept.dataset_rows(session, dataset.id, count=1)[0]["ticket"]

    assert prompts.preview(session, FIRST, dataset.id).messages == (
        Message("system", "Be brief."),
        Message("user", f"Category of {ticket}?"),
    )
    lacking = prompts.preview(session, Prompt("{{ticket}} {{tone}}"), dataset.id)
    assert (lacking.messages, lacking.undefined) == ((), ("tone",))


def test_line_diff_marks_the_changed_words() -> None:
    """A changed line goes and comes, with the words that differ; others stay."""
    lines = line_diff("Be brief.\nSay hello.\nEnd", "Be brief.\nSay goodbye now.\nEnd\nMore")

    assert [(line.mark, line.text) for line in lines] == [
        (" ", "Be brief."),
        ("-", "Say hello."),
        ("+", "Say goodbye now."),
        (" ", "End"),
        ("+", "More"),
    ]
    assert [span.text for span in lines[1].spans if span.changed] == ["hello"]
    assert [span.text for span in lines[2].spans if span.changed] == ["goodbye now"]
    assert line_diff("", "") == ()


def test_prompt_diff_pairs_messages_by_role() -> None:
    """A message in between does not make all that follow look changed; a system text that came stands alone."""
    before = Prompt("", messages=(Message("system", "S"), Message("user", "Q")))
    after = Prompt("", messages=(Message("system", "S"), Message("assistant", "A"), Message("user", "Q2")))

    found = [(s.title, "".join(line.mark for line in s.lines)) for s in prompt_diff(before, after)]
    assert found == [("system", " "), ("assistant", "+"), ("user", "-+")]
    assert [s.title for s in prompt_diff(Prompt("Q"), Prompt("Q", "S")) if s.changed] == ["system"]
    assert not any(s.changed for s in prompt_diff(Prompt("S\nQ"), Prompt("", messages=(Message("user", "S\nQ"),))))


def test_conversation_is_read_from_json() -> None:
    """A list of role and content is a conversation; anything else is refused with an example."""
    found = prompts.read_messages('[{"role": "system", "content": "S"}, {"role": "user", "content": "{{q}}"}]')

    assert found == (Message("system", "S"), Message("user", "{{q}}"))
    for wrong in ("", "[]", '{"role": "user"}', '[{"role": "robot", "content": "x"}]'):
        with pytest.raises(DataError, match="not a JSON list"):
            prompts.read_messages(wrong)


def test_pieces_are_the_whole_template() -> None:
    """Slots are named, an escaped brace is text, and nothing is lost."""
    text = r"\{{raw}} {{ a }}-{{b.c}}!"

    assert list(pieces(text)) == [(r"\{{raw}} ", None), ("{{ a }}", "a"), ("-", None), ("{{b.c}}", "b.c"), ("!", None)]


def test_guessed_variables_of_other_tools_convert() -> None:
    """Names in single braces are offered; JSON, prices and our own variables are not."""
    text = 'Reply as {"a": 1} to {ticket} from <<user>> for $5 or ${plan}: {{ours}} {1}'
    found = guess_foreign(text)

    assert found == ("ticket", "user", "plan")
    assert convert(text, found) == 'Reply as {"a": 1} to {{ticket}} from {{user}} for $5 or {{plan}}: {{ours}} {1}'
