"""What a grader may take and say: the bounds of everything that others wrote, in one place.

TAKEN     the longest answer that each kind of grader reads; a longer one is unscored
WORDS     the longest reason
guarded   a grader's verdict, whatever the grader does
"""

from __future__ import annotations

import re
from collections.abc import Callable

from assay.errors import GraderError
from assay.scoring.kinds import Verdict, unscored

WORDS = 1_000
"""Characters of a reason."""
TAKEN = dict.fromkeys(("contains", "numeric", "json_schema", "row_assertions", "judge"), 200_000)
"""Characters of an answer, and of what is expected, that a kind of grader reads; the others: LONGEST."""
LONGEST = 1_000_000
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def in_bounds(words: str) -> str:
    """A reason on one line without control characters, cut at its longest."""
    flat = _NOT_SHOWN.sub(" ", words[: 4 * WORDS]).strip() or "no reason is known"
    return flat if len(flat) <= WORDS else f"{flat[: WORDS - 1]}…"


def guarded(kind: str, output: str, expected: str | None, grade: Callable[[], Verdict]) -> Verdict:
    """The verdict of a grader in bounds; unscored with the reason where a text is too long, or where it raises."""
    longest = TAKEN.get(kind, LONGEST)
    for name, text in (("answer", output), ("expected value", expected or "")):
        if len(text) > longest:
            return unscored(f"The {name} has {len(text):,} characters; this grader reads {longest:,} at most.")
    try:
        found = grade()
    except GraderError as error:
        return unscored(in_bounds(str(error)))
    except Exception as error:  # noqa: BLE001 - an answer that is paid outlives whatever a grader meets in it
        return unscored(in_bounds(f"The grader could not grade this answer: {_of(error)}."))
    return found._replace(reason=in_bounds(found.reason))


def _of(error: Exception) -> str:
    """What was raised, in words: its kind and what it says, which may be nothing."""
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case MemoryError():
            return "it takes too much memory"
    said = str(error)[:WORDS].strip().rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
