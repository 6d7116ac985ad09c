"""How long answers will be, before any is there: by this team's own answers to the same prompt, else guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assay.stats.prediction import Part, Sample, predict
from assay.store.learnt import Learnt

DEFAULT_OUTPUT = 160
REASONING_OUTPUT = 700
SHORTEST = 1.0
"""Tokens of the shortest answer: many prompts ask for a single word."""
GUESS_HIGH = 6.0
"""How much longer than guessed, the limit of the answer aside."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """What the ledger has taught, asked for by model."""

    learnt: Callable[[str, bool], Learnt]
    """Of a model, as a contestant or (True) as a judge."""
    answers: Callable[[str, str], Sample | None] = lambda _model, _prompt_key: None
    """The tokens of a model's answers to a version of a prompt; None: too few."""


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """Tokens of one answer, on average over a run."""

    low: float
    expected: float
    high: float
    guessed: bool
    """No answer to this prompt is known: the range is wide, and a pilot narrows it."""


def answer_length(known: Sample | None, *, taught: Learnt, reasons: bool, calls: int, longest: int) -> AnswerLength:
    """The length of so many answers to one prompt.

    known: answers to this version of the prompt. taught: what the model was asked otherwise, which says little of this
    prompt. reasons: whether the model thinks first. longest: tokens that an answer has at most.
    """
    found = predict([Part(0.0, float(calls), known)]) if known is not None and calls else None
    if found is not None:
        low, expected, high = (min(total / calls, float(longest)) for total in (found.low, found.expected, found.high))
        return AnswerLength(low, expected, high, guessed=False)
    usual = REASONING_OUTPUT if reasons else DEFAULT_OUTPUT
    guess = min(taught.answer_tokens or usual, float(longest))
    # One-word answers to another prompt do not make this prompt's answers short.
    high = min(max(guess, usual) * GUESS_HIGH, float(longest))
    return AnswerLength(min(SHORTEST, guess), guess, high, guessed=True)
