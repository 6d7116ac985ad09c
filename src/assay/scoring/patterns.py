"""Patterns of files and people, searched so that none hangs anything.

RE2 runs a pattern where it means the same there: its time grows with the text, whatever the pattern. A pattern that
RE2 cannot say (lookaround, a backreference) is run by Python's engine in a process of its own, with bounds.

pattern_of      a pattern of Python's, ready to search
ecmascript_of   a pattern of JavaScript's (promptfoo, JSON schema), ready to search
"""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from assay.errors import GraderError
from assay.scoring import ecmascript, processes
from assay.scoring.kinds import shown
from assay.scoring.re2_syntax import Unwritable, Written, written

TEXT_LIMIT = 20_000
"""Characters of a text that a pattern is run over."""
PATTERN_LIMIT = 10_000
"""Characters of a pattern."""
RE2_BYTES = 8 << 20
"""Memory of a pattern that RE2 runs."""
KEPT = 512
"""Patterns that are kept compiled."""
_parsing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern ready to search; `source` is as it was written, `python` as Python's engine reads it."""

    source: str
    python: str
    flags: int
    linear: Any = None
    """RE2's own form; None: it cannot say this pattern."""
    ascii_only: bool = False

    @property
    def is_linear(self) -> bool:
        """Whether the time of a search grows with the text alone."""
        return self.linear is not None and not self.ascii_only

    def search(self, text: str) -> str | None:
        """The first match in a text's first 20,000 characters; None: there is none.

        Raises GraderError where it takes too long, or is no pattern after all.
        """
        text = text[:TEXT_LIMIT]
        if self.linear is not None and text.isascii() >= self.ascii_only and _is_whole(text):
            found = self.linear.search(text)
            return None if found is None else str(found.group())
        try:
            span = processes.PATTERNS.ask(self.source, [self.python, self.flags, text])
        except GraderError as error:
            message = f"The pattern {shown(self.source)} cannot be run: {error.message.rstrip('.')}."
            raise GraderError(message, cure=error.cure or "Check its brackets.") from error
        return None if span is None else text[span[0] : span[1]]


def _is_whole(text: str) -> bool:
    """Whether a text has no half of a character, which no UTF-8 can say."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(KEPT)
def pattern_of(source: str, *, ignore_case: bool = False) -> Pattern:
    """A pattern of Python's. Raises GraderError where it is none."""
    _check_length(source)
    return _compiled(source, source, re.IGNORECASE if ignore_case else 0)


@lru_cache(KEPT)
def ecmascript_of(source: str) -> Pattern:
    """A pattern of JavaScript's. Raises GraderError where it is none, or one that Python cannot run."""
    _check_length(source)
    return _compiled(source, ecmascript.python_pattern(source), re.ASCII)


def _check_length(source: str) -> None:
    if len(source) > PATTERN_LIMIT:
        message = f"The pattern {shown(source)} has {len(source):,} characters; at most {PATTERN_LIMIT:,} are read."
        raise GraderError(message, cure="Write a shorter one.")


def _compiled(source: str, python: str, flags: int) -> Pattern:
    try:
        form = _written(python, flags)
    except Unwritable:
        return Pattern(source, python, flags)
    except (re.error, OverflowError, RecursionError) as error:
        said = str(error) or "it is nested too deeply"
        raise GraderError(
            f"{shown(source)} is not a regular expression: {said}.", cure="Check its brackets."
        ) from error
    options = re2.Options()
    options.max_mem = RE2_BYTES
    options.log_errors = False
    try:
        return Pattern(source, python, flags, re2.compile(form.pattern, options), form.ascii_only)
    except re2.error:
        return Pattern(source, python, flags)  # more repetitions or memory than RE2 takes


def _written(python: str, flags: int) -> Written:
    # The filters of warnings belong to the whole process: one at a time.
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return written(python, flags)
