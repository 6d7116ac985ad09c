"""Templates: names are replaced, dotted paths looked up, conversations unfolded, and nothing is executed."""

from __future__ import annotations

import json

import pytest
from filled_template import filled
from hypothesis import assume, given
from hypothesis import strategies as st

from assay.domain.contestant import Prompt
from assay.domain.messages import Message
from assay.errors import TemplateError
from assay.prompts.template import conversation, convert, detect_foreign, is_known, render_prompt, value_of

TICKET = '{"subject": "Refund", "tags": ["a", "b"], "total": 1.50, "who": {"name": "Ann"}, "none": null}'
CHAT = json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello {{x}}"}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ticket.subject", "Refund"),
        ("ticket.tags.1", "b"),
        ("ticket.total", "1.50"),
        ("ticket.who.name", "Ann"),
        ("ticket.who", '{"name": "Ann"}'),
        ("ticket.none", ""),
        ("item.plain", "p"),
        ("inputs.ticket.subject", "Refund"),
        ("ticket.nope", None),
        ("ticket.tags.9", None),
        ("plain.x", None),
        ("ticket.subject.x", None),
        ("who", None),
    ],
)
def test_dotted_path_looks_into_a_json_cell(name: str, value: str | None) -> None:
    """Keys and indices; a path that is not there is undefined."""
    assert value_of(name, {"ticket": TICKET, "plain": "p"}) == value


def test_column_with_a_dot_in_its_name_wins() -> None:
    """A literal name is looked up before any path, and the longest column before a shorter one."""
    values = {"a": '{"b": {"c": 1}}', "a.b": '{"c": 2}', "a.b.d": "3"}

    assert filled("{{a.b}} {{a.b.c}} {{a.b.d}}", values) == '{"c": 2} 2 3'


def test_missing_path_is_an_undefined_variable() -> None:
    """The refusal names the whole path."""
    with pytest.raises(TemplateError) as caught:
        filled("{{ticket.nope}}", {"ticket": TICKET})

    assert caught.value.variables == ("ticket.nope",)
    assert is_known("ticket.nope", ["ticket"])
    assert not is_known("other.nope", ["ticket"])


@given(st.text())
def test_any_cell_arrives_unchanged(cell: str) -> None:
    """Whatever a cell holds is text: braces, templates, code."""
    assert filled("<{{cell}}>", {"cell": cell}) == f"<{cell}>"
    assert filled("{{c.x}}", {"c": json.dumps({"x": cell})}) == cell


@given(st.text(), st.sampled_from(["{{x}}", "{{cell}}", "{{7*7}}", "{% raw %}", "${x}", "\\{{", "<<x>>"]))
def test_template_within_a_cell_stays_text(text: str, hostile: str) -> None:
    """A cell that holds a template is not a template."""
    cell = text + hostile + text
    assume(conversation(cell) is None)

    assert render_prompt(Prompt("{{cell}}", system="{{cell}}"), {"cell": cell, "x": "no"})[-1].text == cell


NAMES = ["q", "user name", "ticket"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abq :,[]"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "a"]), inner, max_size=3),
)


@given(JSON, st.sampled_from([None, 1]))
def test_conversion_never_alters_json(value: object, indent: int | None) -> None:
    """JSON within a template keeps its braces, also where its keys are columns."""
    text = json.dumps(value, indent=indent)

    assert convert(text, NAMES) == text
    assert convert(f"{{q}}\n{text}\n$q", NAMES) == f"{{{{q}}}}\n{text}\n{{{{q}}}}"


@given(st.text("{}q$<> .\\"))
def test_conversion_is_done_once(template: str) -> None:
    """What is converted is not converted again."""
    once = convert(template, NAMES)

    assert convert(once, NAMES) == once


@pytest.mark.parametrize(
    ("template", "converted"),
    [
        ("{q} $q ${q} <<q>>", "{{q}} {{q}} {{q}} {{q}}"),
        ("{other} $5 $other <<other>>", "{other} $5 $other <<other>>"),
        ("{ticket.subject} {user name}", "{{ticket.subject}} {{user name}}"),
        ('{"a": {q}}', '{"a": {{q}}}'),
        ("costs ${{q}}", "costs ${{q}}"),
        ("\\{q}", "\\{q}"),
        ("{ q }", "{{q}}"),
        ("a << q >> b", "a {{q}} b"),
    ],
)
def test_variables_of_other_tools_are_converted(template: str, converted: str) -> None:
    """Only names that are columns; everything else stays."""
    assert convert(template, NAMES) == converted
    assert bool(detect_foreign(template, NAMES)) == (converted != template)


def test_cell_of_messages_becomes_the_conversation() -> None:
    """A prompt that is one variable takes the cell's roles; the system text stays first, contents are not templates."""
    sent = render_prompt(Prompt(" {{messages}} ", system="Rules"), {"messages": CHAT})

    assert sent == (Message("system", "Rules"), Message("system", "Be brief."), Message("user", "Hello {{x}}"))
    assert render_prompt(Prompt("See: {{messages}}"), {"messages": CHAT}) == (Message("user", f"See: {CHAT}"),)


@pytest.mark.parametrize(
    "cell",
    [
        "[]",
        '["one", "two"]',
        '[{"role": "user"}]',
        '[{"role": "baker", "name": "x"}]',
        "[1]",
        "[",
        "plain",
        '{"role": "user", "content": "x"}',
    ],
)
def test_other_lists_stay_text(cell: str) -> None:
    """Only a list with role and content is a conversation."""
    assert render_prompt(Prompt("{{c}}"), {"c": cell}) == (Message("user", cell),)


def test_prefix_and_suffix_stand_around_the_user_text() -> None:
    """promptfoo's columns wrap the last user message and are text themselves."""
    values = {"q": "Q", "__prefix": "{{q}} <", "__suffix": ">", "m": CHAT}

    assert render_prompt(Prompt("{{q}}"), values) == (Message("user", "{{q}} <Q>"),)
    assert render_prompt(Prompt("{{m}}"), values)[-1] == Message("user", "{{q}} <Hello {{x}}>")
