"""The numeric grader: the answer's final number against the expected one."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from assay.errors import GraderError
from assay.scoring.kinds import Field, GraderKind, Verdict, alternatives, left_out, shown, unscored, verdict

READ = 50_000
"""Characters at the end of a text in which its number is looked for."""
DIGITS = 1_000
"""Characters of a number, beside the decimals that are cut."""
DECIMALS = 500
"""Decimals that are read: those after them tell no number from another."""
MAGNITUDE = 400
"""Powers of ten up to which a number is one, a little more than a computer's own."""
_NUMBER = re.compile(r"[-\u2212]?\$?\s?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?%?")
_MARK = re.compile(r"(?:####|\bA:|\banswer\s*(?:is|:|=)|\bfinal answer\b)[^\d\n\-\u2212.]{0,20}", re.IGNORECASE)


def final_number(text: str) -> Decimal | None:
    """The number that a text ends on: after "####", "A:" or "the answer is", or else the last one; None: no number.

    Thousands separators, $ and % are read over; a minus glued to a digit is a sign. Of a long text the end is read.
    """
    text = text[-READ:]
    marks = deque(_MARK.finditer(text), maxlen=1)
    if marks and (after := _NUMBER.match(text, marks[0].end())):
        return _value(after.group())
    numbers = deque(_NUMBER.finditer(text), maxlen=1)
    return _value(_signed(text, numbers[0])) if numbers else None


def _signed(text: str, found: re.Match[str]) -> str:
    """The number; a dash between a number and it is a range or a subtraction, not a sign."""
    before = text[: found.start()].rstrip()[-1:]
    glued = found.group()[:1] in "-\u2212" and (before.isdigit() or before == ")")
    return found.group()[1:] if glued else found.group()


def _value(text: str) -> Decimal | None:
    """The number. Raises GraderError beyond MAGNITUDE: no quantity is so large, a hash was read as one."""
    plain = text.replace("\u2212", "-").replace("$", "").replace(",", "").replace("%", "").replace(" ", "")
    mantissa, _, exponent = plain.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    plain = f"{whole or 0}.{decimals[:DECIMALS]}e{exponent or 0}"
    try:
        number = Decimal(plain[: DIGITS + 1])
    except InvalidOperation:
        return None
    if len(plain) > DIGITS or (number and abs(number.adjusted()) > MAGNITUDE):
        raise GraderError(f"The number {shown(text)} is too large to be compared.")
    return number


def numeric(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    """Passes when the final number of the answer is the expected one, or one of a JSON list, within the tolerance."""
    if expected is None or not expected.strip():
        return left_out("There is no expected number for this row.")
    numbers = [final_number(text) for text in alternatives(expected) or [expected]]
    known = [number for number in numbers if number is not None]
    if not known:
        return unscored(f"The expected value {shown(expected)} holds no number.")
    given = final_number(output)
    if given is None:
        return verdict(False, f"The answer {shown(output)} holds no number; expected {known[0]}.")
    wanted = min(known, key=lambda number: abs(given - number))
    tolerance = Decimal(str(params.get("tolerance") or 0))
    bound = abs(wanted) * tolerance / 100 if params.get("relative") else tolerance
    difference = abs(given - wanted)
    bounds = f", allowed {bound:f}" if bound else ""
    return verdict(difference <= bound, f"The answer's number is {given:f}; expected {wanted:f}{bounds}.")


NUMERIC = GraderKind(
    "numeric",
    "Number",
    "The final number of the answer is the expected one.",
    numeric,
    (
        Field("tolerance", "number", "Largest difference allowed.", default=0),
        Field("relative", "flag", "The tolerance is in percent of the expected number.", default=False),
    ),
)
