"""What a column is for, guessed from its name; the user can always change it (PEERS E2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ROLES: dict[str, tuple[str, ...]] = {
    "checks": ("__expected", "__expected1"),
    "expected": (
        "expected",
        "expected_output",
        "expected_answer",
        "expected_category",
        "expected_response",
        "expected_label",
        "ideal",
        "target",
        "answer",
        "reference",
        "reference_answer",
        "reference_output",
        "correct_answer",
        "label",
        "ground_truth",
        "gold",
        "gold_answer",
        "golden_answer",
        "correct_label",
        "correct",
        "answer_key",
        "expected_outcome",
        "solution",
        "output",
        "completion",
        "category",
    ),
    "id": ("id", "row_id", "question_id", "ticket_id", "custom_id", "case_id", "uuid", "key"),
    "prompt": (
        "prompt",
        "input",
        "question",
        "query",
        "user",
        "user_message",
        "user_input",
        "messages",
        "text",
        "message",
        "instruction",
        "content",
        "ticket",
        "turns",
        "conversation",
    ),
    "system": ("system", "system_prompt", "system_message"),
    "split": ("split", "fold", "partition"),
    "category": ("category", "tag", "tags", "topic", "segment", "difficulty", "language"),
    "output": ("actual_output", "__providerOutput", "sample.output_text", "response", "model_output", "output"),
    "context": ("context", "retrieval_context", "documents"),
    "title": ("name", "title", "description", "__description", "comments"),
    "choices": ("choices", "options"),
}
_WRAPPERS = {
    "expected": ("expected.", "outputs.", "output.", "reference_outputs."),
    "prompt": ("input.", "inputs."),
    "output": ("sample.",),
    "category": ("__metadata:", "metadata."),
}
"""What other tools write before a name that gives away a role."""


def guess_roles(columns: Iterable[str]) -> dict[str, str]:
    """Role to column, for the roles that a name gives away; earlier names of a role win.

    Case, spaces, dashes and underscores do not count, except the two that promptfoo's own columns begin with.
    """
    given = list(columns)
    plain = _by_name(given)
    roles: dict[str, str] = {}
    for role, names in ROLES.items():
        known = plain
        if role in _WRAPPERS:
            known = _by_name([name for name in given if name.startswith(_WRAPPERS[role])], _WRAPPERS[role]) | plain
        taken = roles.values()
        found = next((known[key] for key in map(_squeezed, names) if key in known and known[key] not in taken), None)
        if role == "expected" and found is None:
            found = next((column for column in given if column.startswith("expected.")), None)
        if found is not None:
            roles[role] = found
    return roles


def wordiest(rows: Sequence[Mapping[str, str]], *, besides: str | None = None) -> str:
    """The column with the longest texts, the first of equals; besides: one that is not meant. rows: at least one."""
    columns = [column for column in rows[0] if column != besides] or list(rows[0])
    return max(columns, key=lambda column: sum(len(row.get(column, "")) for row in rows))


def answer_columns(roles: Mapping[str, str]) -> set[str]:
    """The columns that are no variables of a prompt: what should come out, and how rows are sorted."""
    return {roles[role] for role in ("expected", "checks", "output", "split") if role in roles}


def _by_name(columns: Iterable[str], wrappers: tuple[str, ...] = ()) -> dict[str, str]:
    """Squeezed name to column; the first column of a name wins."""
    found: dict[str, str] = {}
    for column in columns:
        wrapper = next((w for w in wrappers if column.startswith(w)), "")
        found.setdefault(_squeezed(column.removeprefix(wrapper).removesuffix("[]")), column)
    return found


def _squeezed(name: str) -> str:
    name = name.strip().lower()
    mark = "__" if name.startswith("__") else ""
    return mark + name.replace(" ", "").replace("_", "").replace("-", "")
