"""The prompts page through its widgets: empty, kept, edited, labelled, refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.domain.contestant import Prompt
from assay.domain.messages import Message
from assay.workbench import playground, prompts
from assay.workbench.datasets import kept
from assay.workbench.session import Session

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = Prompt("Category of {{ticket}}?"), Prompt("Which category has {{ticket}}?\nOne word.", "Be brief.")


def opened_page(**query: str) -> AppTest:
    """The prompts page inside the frame, without an exception."""
    at = AppTest.from_file(str(ROOT / "src" / "assay" / "views" / "shell.py"), default_timeout=30).run()
    at.switch_page(str(ROOT / "pages" / "prompts.py"))
    for name, value in query.items():
        at.query_params[name] = value
    return ran(at)


def ran(at: AppTest) -> AppTest:
    """The page run again, without an exception."""
    at.run()
    assert not at.exception
    return at


def texts(at: AppTest) -> str:
    """Everything that the page says in captions, messages and HTML."""
    parts = [*at.caption, *at.info, *at.error, *at.markdown, *at.get("html"), *at.subheader]
    return "\n".join(str(getattr(part, "value", None) or part.proto.body) for part in parts)


def test_empty_library_says_what_to_do(session: Session) -> None:
    """Nothing kept: words and a button that opens the editor."""
    at = opened_page()
    assert "No prompt is kept yet" in at.info[0].value

    at.button(key="prompts.first").click()
    ran(at)
    assert at.subheader[0].value == "New prompt"


def test_new_prompt_is_kept_and_shown(session: Session) -> None:
    """What is typed is what the store has; another tool's variables are turned with one click."""
    at = opened_page(edit="new")
    at.text_input(key="prompts.name.new").set_value("triage")
    at.text_area(key="prompts.user.new").set_value("Category of {ticket}?")
    ran(at)
    at.button(key="prompts.user.new.convert").click()
    ran(at)
    at.button(key="prompts.save").click()
    ran(at)

    assert prompts.find_version(session, "triage").prompt == FIRST
    assert "{{ticket}}" in texts(at)
    assert at.subheader[0].value == "triage"
    assert at.query_params["prompt"] == "triage"


def test_edit_makes_version_two_and_shows_what_changed(session: Session) -> None:
    """The old text stays, the difference is marked with + and -, and the page shows the new version."""
    prompts.save_prompt(session, "triage", FIRST)
    at = opened_page(prompt="triage")
    at.button(key="prompts.edit").click()
    ran(at)
    at.text_area(key="prompts.user.triage:1").set_value(SECOND.user)
    at.text_area(key="prompts.system.triage:1").set_value(SECOND.system)
    at.text_input(key="prompts.note.triage:1").set_value("shorter answers")
    at.button(key="prompts.save").click()
    ran(at)

    assert [v.prompt for v in prompts.versions(session, "triage")] == [SECOND, FIRST]
    said = texts(at)
    assert "shorter answers" in said
    assert 'user-select:none">+</span>' in said
    assert 'user-select:none">-</span>' in said
    assert "One word." in said


def test_label_is_moved_with_one_click(session: Session) -> None:
    """Put on version 1 takes the label from version 2, and the history says both."""
    for prompt in (FIRST, SECOND):
        prompts.save_prompt(session, "triage", prompt)
    prompts.set_label(session, "triage", "production", 2)
    at = opened_page(prompt="triage", version="1")
    at.button(key="prompts.label.put").click()
    ran(at)

    assert prompts.find_version(session, "triage@production").version == 1
    assert "production moved from version 2 to version 1" in texts(at).replace("\\", "")


def test_preview_shows_the_row_or_the_undefined_variables(session: Session) -> None:
    """The first row stands in the prompt; what the row lacks is named and marked."""
    dataset = kept.open_dataset(session, "support_tickets")
    ticket = kept.dataset_rows(session, dataset.id, count=1)[0]["ticket"]
    prompts.save_prompt(session, "triage", FIRST)
    prompts.save_prompt(session, "other", Prompt("{{tone}}: {{ticket}}"))
    at = opened_page(prompt="triage")
    at.session_state["prompts.tab"] = "Preview"
    ran(at)

    assert at.code[-1].value == f"Category of {ticket}?"
    at.query_params["prompt"] = "other"
    ran(at)
    assert "Undefined variables: {{tone}}" in at.error[0].value.replace("\\", "")
    assert 'title="undefined">{{tone}}' in texts(at)


def test_hostile_text_stays_text(session: Session) -> None:
    """Markup in names, notes, prompts and messages is shown, not obeyed."""
    bad = "<img src=x onerror=alert(1)> ![x](http://evil.example/a.png)"
    prompts.save_prompt(session, bad.replace(":", ""), Prompt(bad), note=bad)
    prompts.save_prompt(session, bad.replace(":", ""), Prompt("", messages=(Message("user", bad + "{{<b>}}"),)))
    at = opened_page()

    said = "\n".join(part.proto.body for part in at.get("html"))
    assert "&lt;img src=x" in said
    assert "<img" not in said
    assert "{{<b>}}" not in said
    assert "![x]" not in "\n".join([*(c.value for c in at.caption), *(s.value for s in at.subheader)])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "", "user": "x"}, "no name"),
        ({"name": "a@b", "user": "x"}, "cannot be a prompt's name"),
        ({"name": "new", "user": " "}, "The prompt is empty"),
        ({"name": "triage", "user": "x"}, "already a prompt 'triage'"),
        ({"name": "new", "kind": "Conversation", "messages": "hello"}, "not a JSON list"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(session: Session, fields: dict[str, str], said: str) -> None:
    """The editor stays open with the text and says what is wrong; the library is as before."""
    prompts.save_prompt(session, "triage", FIRST)
    at = opened_page(edit="new")
    if kind := fields.pop("kind", None):
        at.session_state["prompts.kind.new"] = kind
        ran(at)
    for field, value in fields.items():
        at.session_state[f"prompts.{field}.new"] = value
    at.button(key="prompts.save").click()
    ran(at)

    assert said in at.error[0].value.replace("\\", "")
    assert at.subheader[0].value == "New prompt"
    assert [v.prompt for v in prompts.versions(session, "triage")] == [FIRST]
    assert prompts.count_prompts(session) == 1


def test_conversation_from_the_library_is_sent_by_the_playground(session: Session) -> None:
    """Open from library puts the conversation into the form, and Run sends exactly its messages."""
    sent = (Message("system", "Be brief."), Message("assistant", "Yes?"), Message("user", "Hello"))
    prompts.save_prompt(session, "chat", Prompt("", messages=sent))
    at = opened_page()
    at.switch_page(str(ROOT / "pages" / "playground.py"))
    ran(at)
    at.button(key="playground.library.open").click()
    ran(at)
    at.button(key="playground.run").click()
    ran(at)

    (comparison,) = playground.history(session)
    assert playground.watch(session, comparison.id).prompt.messages == sent
    assert "Conversation chat, version 1" in texts(at)


def test_link_to_a_prompt_that_is_not_there_is_answered(session: Session) -> None:
    """A stale link gets words beside the list."""
    prompts.save_prompt(session, "triage", FIRST)
    at = opened_page(prompt="gone")

    assert "no prompt 'gone'" in at.error[0].value.replace("\\", "")
    assert [b.label for b in at.button if b.key == "prompts.open.triage"] == ["**triage**"]


def test_archive_and_rename_change_the_store(session: Session) -> None:
    """Rename keeps the page on the prompt; the archive takes it out of the list and gives it back."""
    prompts.save_prompt(session, "triage", FIRST)
    at = opened_page(prompt="triage")
    at.text_input(key="prompts.rename.triage").set_value("sorting")
    at.button(key="prompts.rename").click()
    ran(at)
    assert at.subheader[0].value == "sorting"

    at.button(key="prompts.archive").click()
    ran(at)
    assert prompts.find_version(session, "sorting").archived
    assert not [b for b in at.button if b.key == "prompts.open.sorting"]
    at.toggle(key="prompts.archived").set_value(True)
    ran(at)
    assert [b for b in at.button if b.key == "prompts.open.sorting"]
