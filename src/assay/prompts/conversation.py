"""Conversations in cells: a JSON list of messages, sent as it is, or said why it cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from assay.domain.json_values import whole
from assay.domain.messages import Message, Role

_ROLES = get_args(Role)


def conversation(cell: str) -> tuple[Message, ...] | None:
    """The messages in a cell that holds a JSON list of them, with parts, tools and names as they are.

    None: the cell is anything else, or holds messages that cannot be sent (see `fault`).
    """
    entries = _entries(cell)
    if entries is None or any(_fault(entry) for entry in entries):
        return None
    return tuple(Message.from_json(entry) for entry in entries)


def fault(cell: str) -> str:
    """Why a cell that is a list of messages cannot be sent as it is; empty: it can, or is anything else."""
    for number, entry in enumerate(_entries(cell) or (), 1):
        if why := _fault(entry):
            return f"message {number} {why}"
    return ""


def _entries(cell: str) -> list[Mapping[str, Any]] | None:
    """The objects of a JSON list of messages; None: the cell is none."""
    if not cell.lstrip().startswith("[") or '"role"' not in cell:
        return None
    try:
        value = json.loads(whole(cell))
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)
    return value if is_list and any(map(_is_message, value)) else None


def _is_message(entry: Mapping[str, Any]) -> bool:
    return "role" in entry and ("content" in entry or "tool_calls" in entry)


def _fault(entry: Mapping[str, Any]) -> str:
    role, content = entry.get("role"), entry.get("content")
    if role not in _ROLES:
        return f"has the role {str(role)[:40]!r}, not one of {', '.join(_ROLES)}" if "role" in entry else "has no role"
    if isinstance(content, str):
        return ""
    if isinstance(content, list):
        return "" if content and all(map(_is_part, content)) else "has a part without a type"
    if content is None and role == "assistant" and entry.get("tool_calls"):
        return ""
    return "has no content" if content is None else "has a content that is neither text nor parts"


def _is_part(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("type"), str) and bool(part["type"])


def is_text_part(part: Any) -> bool:
    """Whether a part of a message is text."""
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
