"""What a column is for, guessed from its name; the user can always change it (PEERS E2)."""

from __future__ import annotations

from collections.abc import Iterable

ROLES: dict[str, tuple[str, ...]] = {
    "expected": (
        "expected", "__expected", "expected_output", "expectedanswer", "expected_category", "expected_answer",
        "ideal", "target", "answer", "reference", "reference_answer", "reference_output", "label", "ground_truth",
        "gold", "output", "completion", "category",
    ),
    "id": ("id", "row_id", "question_id", "ticket_id", "custom_id", "uuid", "key"),
    "prompt": (
        "prompt", "input", "question", "query", "user", "user_message", "text", "message", "instruction", "content",
        "ticket",
    ),
    "system": ("system", "system_prompt"),
    "category": ("category", "tag", "tags", "topic", "segment", "split", "difficulty", "language"),
}  # fmt: skip


def guess_roles(columns: Iterable[str]) -> dict[str, str]:
    """Role to column, for the roles that a name gives away; earlier names of a role win."""
    plain = {column.strip().lower().replace(" ", "_"): column for column in columns}
    roles: dict[str, str] = {}
    for role, names in ROLES.items():
        found = next((plain[name] for name in names if name in plain and plain[name] not in roles.values()), None)
        if found is not None:
            roles[role] = found
    return roles
