"""Versions, splits, filters and derived datasets: keys stay, old versions stay, sides stay."""

from __future__ import annotations

import pytest

from assay.datasets.table import Dialect, Table
from assay.domain.contestant import Contestant, Prompt
from assay.domain.score import GraderSpec
from assay.errors import DataError, NotFound, RunError
from assay.workbench.datasets import kept
from assay.workbench.datasets import versions as versions
from assay.workbench.datasets.kept import StoredDataset
from assay.workbench.datasets.versions import ColumnFilter, RowChoice, RowEdits
from assay.workbench.results import cells
from assay.workbench.running import runs
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session


def keep(session: Session, columns: str, *rows: list[str], name: str = "tickets") -> StoredDataset:
    """A dataset of some rows."""
    return kept.save_table(session, Table(tuple(columns.split()), list(rows), Dialect("csv")), name=name)


def keys(session: Session, dataset: StoredDataset, choice: RowChoice | None = None) -> list[str]:
    """The row keys that a choice lets through."""
    return [row.key for row in versions.rows_page(session, dataset.id, choice, size=1000).rows]


def test_edit_makes_a_version_and_keeps_keys_and_the_old_one(session: Session) -> None:
    """A changed row keeps its key, an added one gets its own, the old version stays as it was."""
    first = keep(session, "text expected", ["a", "x"], ["b", "y"], ["c", "z"])
    a, b, c = keys(session, first)
    made = versions.edit(session, first.id, RowEdits({a: {"text": "A!"}}, [{"text": "d"}], [b]))

    assert (made.dataset.version, made.is_new, made.dataset.row_count) == (2, True, 3)
    assert keys(session, made.dataset)[:2] == [a, c]
    assert kept.dataset_rows(session, first.id)[0] == {"text": "a", "expected": "x"}
    assert kept.dataset_rows(session, made.dataset.id)[2] == {"text": "d", "expected": ""}
    found = versions.diff(session, first.id, made.dataset.id)
    assert (found.added, found.removed, found.changed, found.same) == (1, 1, 1, 1)
    assert (found.changes[0].before["text"], found.changes[0].after["text"]) == ("a", "A!")


def test_id_edited_is_another_row(session: Session) -> None:
    """With an id column the key follows the id; one that is taken gets a number."""
    first = keep(session, "id text", ["1", "a"], ["2", "b"])
    made = versions.edit(session, first.id, RowEdits({"1": {"id": "9"}}, [{"id": "2", "text": "again"}]))

    assert keys(session, made.dataset) == ["9", "2", "2#2"]


def test_corrected_answer_in_a_file_keeps_the_key(session: Session) -> None:
    """Keys hash the variables: a file imported again with another expected answer still joins."""
    first = keep(session, "text expected", ["a", "x"])
    second = keep(session, "text expected", ["a", "corrected"])

    assert second.version == 2
    assert keys(session, first) == keys(session, second)
    assert versions.diff(session, first.id, second.id).changed == 1


def test_edit_that_changes_nothing_or_leaves_nothing_is_refused(session: Session) -> None:
    """The same cells are no version, nor is an empty table; unknown rows and columns are named."""
    first = keep(session, "text", ["a"])
    (key,) = keys(session, first)

    with pytest.raises(DataError, match="Nothing was changed"):
        versions.edit(session, first.id, RowEdits({key: {"text": "a"}}))
    with pytest.raises(DataError, match="Every row"):
        versions.edit(session, first.id, RowEdits(deleted=[key]))
    with pytest.raises(DataError, match="no row 'zz'"):
        versions.edit(session, first.id, RowEdits(deleted=["zz"]))
    with pytest.raises(DataError, match="no column 'nope'"):
        versions.edit(session, first.id, RowEdits({key: {"nope": "x"}}))


def test_edit_back_to_an_old_content_is_that_version(session: Session) -> None:
    """The same content is the same version, whoever wrote it."""
    first = keep(session, "text", ["a"])
    (key,) = keys(session, first)
    second = versions.edit(session, first.id, RowEdits({key: {"text": "b"}})).dataset
    back = versions.edit(session, second.id, RowEdits({key: {"text": "a"}}))

    assert (back.dataset.id, back.is_new) == (first.id, False)


def test_filters_work_together_and_page_in_sql(session: Session) -> None:
    """Text finds quotes and line breaks and is no pattern; column conditions add up; a wrong column is named."""
    dataset = keep(
        session,
        "id lang text",
        ["1", "de", 'say "hi"\nnow'],
        ["2", "en", "100%"],
        ["3", "en", "1000"],
        ["4", "de", "x"],
    )

    assert keys(session, dataset, RowChoice('"HI"\nnow')) == ["1"]
    assert keys(session, dataset, RowChoice("0%")) == ["2"]
    assert keys(session, dataset, RowChoice(columns=(ColumnFilter("lang", "is", "en"),))) == ["2", "3"]
    both = (ColumnFilter("lang", "is not", "en"), ColumnFilter("text", "contains", "X"))
    assert keys(session, dataset, RowChoice(columns=both)) == ["4"]
    page = versions.rows_page(session, dataset.id, page=2, size=3)
    assert (page.total, [row.key for row in page.rows]) == (4, ["4"])
    assert versions.column_values(session, dataset, "lang") == [("de", 2), ("en", 2)]
    with pytest.raises(DataError, match="no column 'size'"):
        keys(session, dataset, RowChoice(columns=(ColumnFilter("size", "is", "1"),)))


def test_made_splits_stay_when_rows_are_added(session: Session) -> None:
    """A row never changes sides; the shares are about what was asked for; the parts are the whole."""
    first = keep(session, "id text", *([str(n), f"row {n}"] for n in range(400)))
    versions.make_splits(session, "tickets", {"train": 80, "test": 20})
    before = set(keys(session, first, RowChoice(split="test")))
    second = versions.edit(
        session, first.id, RowEdits(added=[{"id": f"n{n}", "text": "new"} for n in range(200)])
    ).dataset

    after = set(keys(session, second, RowChoice(split="test")))
    train, test = versions.splits_of(session, second)
    assert before == {key for key in after if not key.startswith("n")}
    assert train.rows + test.rows == 600
    assert 90 <= test.rows <= 150
    with pytest.raises(DataError, match="no split 'dev'"):
        keys(session, first, RowChoice(split="dev"))


@pytest.mark.parametrize("shares", [{"train": 80}, {"a": 50, "b": 40}, {"a": 100, "b": 0}, {"": 50, "b": 50}])
def test_splits_that_do_not_add_up_are_refused(session: Session, shares: dict[str, int]) -> None:
    """Two names and a hundred percent."""
    keep(session, "text", ["a"])

    with pytest.raises(DataError, match="100 % in all"):
        versions.make_splits(session, "tickets", shares)


def test_column_of_splits_wins(session: Session) -> None:
    """A file that brings its splits keeps them, and none are made beside."""
    dataset = keep(session, "text split", ["a", "dev"], ["b", "test"], ["c", "dev"])

    assert [(s.name, s.rows) for s in versions.splits_of(session, dataset)] == [("dev", 2), ("test", 1)]
    assert len(keys(session, dataset, RowChoice(split="dev"))) == 2
    with pytest.raises(DataError, match="'split' names the splits already"):
        versions.make_splits(session, "tickets", {"train": 80, "test": 20})


def test_draw_is_the_same_for_the_same_seed(session: Session) -> None:
    """A draw keeps keys and order, repeats with its seed and differs with another; a filter goes before it."""
    dataset = keep(session, "id lang", *([f"{n:02}", "de" if n % 2 else "en"] for n in range(60)))
    choice = RowChoice(columns=(ColumnFilter("lang", "is", "de"),))
    drawn = [
        versions.derive(session, dataset.id, name=f"d{n}", choice=choice, sample=10, seed=s)
        for n, s in enumerate((1, 1, 2))
    ]
    first, again, other = (keys(session, made.dataset) for made in drawn)

    assert first == again == sorted(first)
    assert first != other
    assert len(first) == 10
    assert all(int(key) % 2 for key in first)
    assert [made.is_new for made in drawn] == [True, False, True]
    with pytest.raises(DataError, match="No row fits"):
        versions.derive(session, dataset.id, name="none", choice=RowChoice("nothing like it"))


def test_failed_rows_become_a_dataset_that_joins(session: Session) -> None:
    """Exactly the rows that did not pass, under their keys, so that the next run compares with this one."""
    dataset = keep(session, "id q expected", ["1", "two and two?", "nothing says this"], ["2", "Say hello", ""])
    plan = (Prompt("{{q}}"),), (Contestant("sandbox/atlas-large"),), (GraderSpec("contains"),)
    run_id = runs.start_run(session, RunDraft(dataset.id, *plan, expected_column="expected"))
    runs.wait_for_run(session, run_id, timeout_s=60)
    passed = {row.key for row in cells.rows_page(session, run_id, show="failed").rows}
    made = versions.failed_rows(session, run_id, kind="failed")

    assert made.dataset.name == "tickets, failed rows"
    assert set(keys(session, made.dataset)) == passed == {"1"}
    with pytest.raises(DataError, match="No row of the run is of that kind"):
        versions.failed_rows(session, run_id, kind="errors")


def test_run_without_graders_has_no_failed_rows(session: Session) -> None:
    """Unscored is not passed: the words say that nothing was graded."""
    dataset = keep(session, "text", ["a"])
    run_id = runs.start_run(session, RunDraft(dataset.id, (Prompt("{{text}}"),), (Contestant("sandbox/swift"),)))
    runs.wait_for_run(session, run_id, timeout_s=60)

    with pytest.raises(DataError, match="has no graders"):
        versions.failed_rows(session, run_id)


def test_version_in_use_is_not_deleted(session: Session) -> None:
    """A version that a run needs is kept with the reason; another goes with its rows."""
    first = keep(session, "text", ["a"])
    draft = RunDraft(first.id, (Prompt("{{text}}"),), (Contestant("sandbox/swift"),))
    runs.wait_for_run(session, runs.start_run(session, draft), timeout_s=60)
    second = keep(session, "text", ["b"])

    with pytest.raises(RunError, match="A run uses version 1"):
        versions.delete_version(session, first.id)
    versions.delete_version(session, second.id)
    with pytest.raises(NotFound):
        kept.get_dataset(session, second.id)
    assert versions.get_record(session, "tickets").runs == 1


def test_names_tags_and_splits_move_together(session: Session) -> None:
    """A dataset renamed takes what it has along; a taken name is refused."""
    keep(session, "text", ["a"])
    keep(session, "text", ["b"], name="other")
    assert versions.set_tags(session, "tickets", [" gold ", "gold", "", "de"]) == ("gold", "de")
    versions.make_splits(session, "tickets", {"train": 70, "test": 30})
    versions.rename(session, "tickets", "  support   tickets ")

    record = versions.get_record(session, "support tickets")
    assert (record.tags, dict(record.splits), record.versions) == (("gold", "de"), {"train": 70, "test": 30}, 1)
    assert [r.name for r in versions.list_records(session, search="TICK")] == ["support tickets"]
    assert versions.count_records(session) == 2
    with pytest.raises(RunError, match="'other' already"):
        versions.rename(session, "support tickets", "other")
    with pytest.raises(DataError, match="1 to 120"):
        versions.rename(session, "other", " ")
