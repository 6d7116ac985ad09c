"""The datasets page through AppTest: empty, filtered, split, under a policy, refused."""

from __future__ import annotations

import json
from pathlib import Path

from streamlit.testing.v1 import AppTest

from assay.datasets.table import Dialect, Table
from assay.domain.data_policy import make_policy
from assay.workbench.datasets import kept, versions
from assay.workbench.running import policies
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]


def shown(**query: str | list[str]) -> AppTest:
    """The page as a deep link opens it."""
    page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    page = page.switch_page(str(ROOT / "pages/datasets.py"))
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def keep(session: Session) -> kept.StoredDataset:
    """A dataset of three rows."""
    table = Table(("id", "q", "lang"), [["1", "one", "de"], ["2", "two", "en"], ["3", "drei", "de"]], Dialect("csv"))
    return kept.save_table(session, table, name="tickets", source="tickets.csv")


def test_page_without_datasets_says_what_to_do(session: Session) -> None:
    """Nothing is kept yet: the page says how to begin, with a button that does it."""
    page = shown()

    assert not page.exception
    assert "No dataset yet" in page.info[0].value
    assert page.button(key="datasets.first").label == "Start with an example"


def test_file_is_imported_under_a_name(session: Session) -> None:
    """The upload becomes a dataset with what was noticed in it, and opens; what is no table is refused in words."""
    page = shown()
    page.file_uploader(key="datasets.file").set_value(("a.pdf.csv", b"%PDF-1.7", "text/csv")).run()
    page.button(key="datasets.import_go").click().run()
    assert "is a PDF" in page.error[0].value

    page.file_uploader(key="datasets.file").set_value(("a.jsonl", b'{"q": "007"}\n\n{"q": null}', "text/plain")).run()
    page.text_input(key="datasets.import_name").set_value("sums").run()
    page.button(key="datasets.import_go").click().run()
    assert not page.exception
    assert kept.dataset_rows(session, "sums") == [{"q": "007"}, {"q": ""}]
    assert [found["kind"] for found in kept.get_dataset(session, "sums").findings] == ["null"]


def test_list_shows_what_versions_share(session: Session) -> None:
    """One line per name, with tags, policy and the newest version."""
    keep(session)
    versions.set_tags(session, "tickets", ["gold"])
    policies.set_policy(session, "tickets", make_policy(zdr=True))

    frame = shown().dataframe[0].value
    assert frame.loc[0, ["Dataset", "Newest", "Rows", "Data policy"]].to_list() == [
        "tickets",
        "version 1",
        3,
        "zero data retention only",
    ]
    assert list(frame.loc[0, "Tags"]) == ["gold"]


def test_filters_in_the_link_hold_and_can_be_dropped(session: Session) -> None:
    """A link carries its filters; a chip takes one away again."""
    keep(session)
    page = shown(dataset="tickets", where=[json.dumps(["lang", "is", "de"]), "nonsense", '["no", "is", "x"]'])

    assert not page.exception
    assert page.dataframe[0].value["Row key"].to_list() == ["1", "3"]
    page.button(key="datasets.chip.0").click().run()
    assert page.dataframe[0].value["Row key"].to_list() == ["1", "2", "3"]


def test_chosen_rows_are_kept_as_a_dataset(session: Session) -> None:
    """Keep writes what the search shows, under its name, and opens it."""
    keep(session)
    page = shown(dataset="tickets")
    page.text_input(key="datasets.search").set_value("drei").run()
    page.text_input(key=f"datasets.keep_name.{kept.get_dataset(session, 'tickets').id}").set_value("german").run()
    page.button(key="datasets.keep_go").click().run()

    assert not page.exception
    assert kept.dataset_rows(session, "german") == [{"id": "3", "q": "drei", "lang": "de"}]
    assert "1 rows kept" in page.success[0].value


def test_policy_is_kept_and_loosened_only_after_consent(session: Session) -> None:
    """The toggles write the policy; taking one back says what that means and waits for the tick."""
    keep(session)
    page = shown(dataset="tickets")
    page.session_state["datasets.tab"] = "Policy"
    page.run()
    page.toggle(key="datasets.zdr.tickets").set_value(True).run()
    page.button(key="datasets.policy_go").click().run()
    assert policies.get_policy(session, "tickets") == {"zdr": True}

    page.toggle(key="datasets.zdr.tickets").set_value(False).run()
    assert any("looser than before" in warning.value for warning in page.warning)
    assert page.button(key="datasets.policy_go").disabled
    page.checkbox(key="datasets.loosen.tickets").check().run()
    page.button(key="datasets.policy_go").click().run()
    assert policies.get_policy(session, "tickets") == {}


def test_unknown_dataset_is_refused_in_words(session: Session) -> None:
    """An old link gets words and the way back."""
    page = shown(dataset="gone")

    assert not page.exception
    assert "There is no dataset" in page.error[0].value
    assert page.button(key="datasets.back").label == "All datasets"
