"""A request's body as JSON: read strictly, so that nothing that cannot be passed on comes in."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

DEEPEST = 64
"""Levels of lists and objects inside one another."""
MOST_FIELDS = 20
"""Faults that one answer names."""
M = TypeVar("M", bound=BaseModel)


class Refused(Exception):
    """A request that is not let in."""

    def __init__(self, status: int, message: str, **metadata: Any) -> None:
        super().__init__(message)
        self.status = status
        self.metadata = metadata


async def read(request: Request, kind: type[M]) -> M:
    """The body as what it should be. Raises Refused in words, without the offending input: it may be a prompt."""
    try:
        return kind.model_validate(parsed(request.headers, await request.body()))
    except ValidationError as error:
        raise _invalid(error) from None
    except RecursionError:
        raise Refused(400, "The body is nested too deeply.") from None


def parsed(headers: Any, body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refused."""
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refused(415, f"The body is {kind[:60]!r}. Send Content-Type: application/json.")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(415, "Compressed bodies are not taken. Send it without Content-Encoding.")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The body is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refused(422, "The body must be a JSON object.")
    if _is_deeper(found, DEEPEST):
        raise Refused(400, f"The body is nested more than {DEEPEST} levels deep.")
    return found


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _invalid(error: ValidationError) -> Refused:
    fields = [
        {"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"].removeprefix("Value error, ")}
        for fault in error.errors(include_input=False, include_url=False)[:MOST_FIELDS]
    ]
    told = "; ".join(f"{fault['field'] or 'body'}: {fault['message']}" for fault in fields)
    return Refused(422, told, error_type="unprocessable", fields=fields)
