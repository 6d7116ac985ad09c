"""What changed between two texts and between two prompts: lines with the changed words marked.

line_diff         two texts
prompt_diff       two prompts, message by message
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal, NamedTuple

from assay.domain.contestant import Prompt
from assay.domain.messages import Message

ALIKE = 0.4
"""Share of common words below which two lines are other lines, not one line with changed words."""
Mark = Literal[" ", "-", "+"]
EXACT_LINES, EXACT_CHARACTERS = 2_000, 4_000
"""Past these, comparing every line and every word would take too long: common lines and whole lines must do."""


class Span(NamedTuple):
    """A stretch of a line."""

    text: str
    changed: bool


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line that stayed (" "), went ("-") or came ("+")."""

    mark: Mark
    spans: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The line."""
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True, slots=True)
class SectionDiff:
    """The difference of one message."""

    title: str
    """Its role, or both where the role changed."""
    lines: tuple[DiffLine, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return any(line.mark != " " for line in self.lines)


def line_diff(before: str, after: str) -> tuple[DiffLine, ...]:
    """The lines of both texts, what went before what came; within replaced lines the changed words are marked."""
    return tuple(_lines(_split(before), _split(after)))


def _split(text: str) -> list[str]:
    """Lines as an editor counts them; an empty text has none."""
    return text.replace("\r\n", "\n").split("\n") if text else []


def _lines(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    quick = max(len(old), len(new)) > EXACT_LINES
    for what, a1, a2, b1, b2 in SequenceMatcher(None, old, new, autojunk=quick).get_opcodes():
        if what == "equal":
            yield from (_whole(" ", line) for line in old[a1:a2])
        elif what == "replace" and a2 - a1 == b2 - b1:
            pairs = [_words(a, b) for a, b in zip(old[a1:a2], new[b1:b2], strict=True)]
            yield from (DiffLine("-", gone) for gone, _ in pairs)
            yield from (DiffLine("+", come) for _, come in pairs)
        else:
            yield from (_whole("-", line) for line in old[a1:a2])
            yield from (_whole("+", line) for line in new[b1:b2])


def _whole(mark: Mark, line: str) -> DiffLine:
    return DiffLine(mark, (Span(line, mark != " "),))


def _words(before: str, after: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    if max(len(before), len(after)) > EXACT_CHARACTERS:
        return (Span(before, True),), (Span(after, True),)
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    gone, come = [], []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < ALIKE:
        return (Span(before, True),), (Span(after, True),)
    for what, a1, a2, b1, b2 in matcher.get_opcodes():
        gone.append(Span("".join(old[a1:a2]), what != "equal"))
        come.append(Span("".join(new[b1:b2]), what != "equal"))
    return tuple(s for s in gone if s.text), tuple(s for s in come if s.text)


# -- prompts ---------------------------------------------------------------------------------------------------


class Section(NamedTuple):
    """A message of a template: its role and its text."""

    role: str
    text: str


def sections_of(prompt: Prompt) -> tuple[Section, ...]:
    """The messages of a prompt's template, the system text first; an empty system text is none."""
    if prompt.messages:
        return tuple(Section(message.role, _written(message)) for message in prompt.messages)
    system = (Section("system", prompt.system),) if prompt.system.strip() else ()
    return (*system, Section("user", prompt.user))


def _written(message: Message) -> str:
    """The text of a message; with parts or fields beyond text, all of it as JSON."""
    if isinstance(message.content, str) and not message.extra:
        return message.content
    return json.dumps({k: v for k, v in message.as_json().items() if k != "role"}, ensure_ascii=False, indent=1)


def prompt_diff(before: Prompt, after: Prompt) -> tuple[SectionDiff, ...]:
    """Each message beside its counterpart; one that came or went stands alone."""
    return tuple(
        SectionDiff(
            " → ".join(dict.fromkeys(s.role for s in (old, new) if s)),
            line_diff(old.text if old else "", new.text if new else ""),
        )
        for old, new in _paired(sections_of(before), sections_of(after))
    )


def _paired(old: Sequence[Section], new: Sequence[Section]) -> Iterator[tuple[Section | None, Section | None]]:
    """Equal messages anchor; between two anchors messages pair by role where they can, else in order."""
    for _, a1, a2, b1, b2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield from _by_role(list(old[a1:a2]), list(new[b1:b2]))


def _by_role(old: list[Section], new: list[Section]) -> Iterator[tuple[Section | None, Section | None]]:
    roles = [s.role for s in old], [s.role for s in new]
    for _, a1, a2, b1, b2 in SequenceMatcher(None, *roles, autojunk=False).get_opcodes():
        yield from zip_longest(old[a1:a2], new[b1:b2])
