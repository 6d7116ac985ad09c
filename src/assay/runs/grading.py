"""Grading a run's answers: by rules at once, by judges with paid calls of their own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest
from assay.domain.plan import Cell
from assay.domain.score import NOT_ASKED, NOT_GRADED, Score
from assay.errors import BudgetExceeded, PolicyError, StoreError
from assay.money import from_pico
from assay.runs.desk import Desk
from assay.runs.dispatch import STORE_WAIT_S, Dispatcher, Gate, Outcome, Withdrawn
from assay.runs.grid import under_policy
from assay.scoring.graders import Grader, build
from assay.scoring.judge import NONCE, judge_messages, judge_params, parse_verdict, shown_answer
from assay.scoring.kinds import Facts, Verdict, shown, unscored
from assay.scoring.limits import guarded
from assay.store import results, saving
from assay.store.datasets import StoredRow

GRADING_S = 0.05
"""Seconds after which an answer is stored before it is graded."""
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="assay-grading")
"""Graders that may take a while work here, apart from the threads that read for the engine."""
_KEPT = ("cached", "call_id", "cut", "first_token_ms", "total_ms", "prompt_tokens", "completion_tokens")
"""Columns of a result that a judge's verdict leaves as they are."""


@dataclass(slots=True)
class Grade:
    """What one grader said of an answer; a judge that is still to be asked has made no call."""

    score: Score
    call_id: str | None = None

    @property
    def waits(self) -> bool:
        """Whether a judge has still to be asked."""
        return self.call_id is None and self.score.value is None and self.score.reason.startswith(NOT_ASKED)


class Grading:
    """The graders of one run. gate: what a judge's call passes before it is sent."""

    def __init__(self, desk: Desk, dispatcher: Dispatcher) -> None:
        self._desk = desk
        self._plan = plan = desk.plan
        self._dispatcher = dispatcher
        self._column = plan.expected_column
        self._graders: list[Grader] = [build(spec) for spec in plan.graders]
        self.judges = {str(grader.spec.params["model"]) for grader in self._graders if grader.is_judge}
        """Models that are asked for verdicts."""
        self.gate: Gate | None = None

    async def graded(
        self, row: StoredRow, output: str, facts: Facts, *, keep: Callable[[list[Grade]], Awaitable[None]]
    ) -> list[Grade]:
        """What every grader says; a judge's place is kept until it is asked.

        What is not quick is graded beside the loop. keep: called when it takes a while, with grades that say so, to
        store the answer that is paid meanwhile.
        """
        if all(grader.is_quick(output, row.values) for grader in self._graders):
            return self._grades(row, output, facts)
        work = asyncio.get_running_loop().run_in_executor(_THREADS, self._grades, row, output, facts)
        await asyncio.wait({work}, timeout=GRADING_S)
        if not work.done():
            await keep([Grade(grader.score(unscored(NOT_GRADED))) for grader in self._graders])
        return await work

    def _grades(self, row: StoredRow, output: str, facts: Facts) -> list[Grade]:
        return [
            Grade(
                grader.score(_before_asking(output, facts))
                if grader.is_judge
                else grader.grade_row(output, row.values, self._column, facts)
            )
            for grader in self._graders
        ]

    async def ask_kept(self, cell: Cell, row: StoredRow, request: CompletionRequest, kept: results.CellRecord) -> None:
        """Grades what an earlier work left ungraded; the answer stands and is not asked for again."""
        work = asyncio.get_running_loop().run_in_executor(_THREADS, self._grades, row, kept.output, _facts_of(kept))
        grades = [
            Grade(Score(grader.spec.label, score.value, score.passed, score.reason), score.call_id)
            if grader.is_judge and score.call_id is not None
            else grade
            for grader, score, grade in zip(self._graders, kept.scores, await work, strict=True)
        ]
        known = kept.result._mapping
        record = self._desk.record(
            cell,
            status="ok",
            output=kept.output,
            reasoning=kept.reasoning,
            note=kept.note,
            **fields_of(grades),
            **{name: known[name] for name in _KEPT},
        )
        await self.ask_judges(cell, row, request, record, grades)

    async def ask_judges(
        self, cell: Cell, row: StoredRow, request: CompletionRequest, record: saving.ResultRecord, grades: list[Grade]
    ) -> None:
        """Asks the judges and stores the result with what they said."""
        for place, grader in enumerate(self._graders):
            if not grader.is_judge or not grades[place].waits:
                continue
            expected = grader.expected_of(row.values, self._plan.expected_column)
            try:
                outcome = await self._judge(grader, cell, request, record.output, expected)
            except (BudgetExceeded, Withdrawn) as error:
                self._desk.stop("paused", str(error))
                grades[place] = Grade(grader.score(unscored(f"{NOT_ASKED} {self._desk.halt_reason}")))
                continue
            except PolicyError as error:
                grades[place] = Grade(grader.score(unscored(f"The judge is not asked: {error}")))
                continue
            grades[place] = self._verdict(grader, outcome)
            await self._desk.settle(outcome.settlement)
        await self._desk.save(replace(record, **fields_of(grades)))

    def _verdict(self, grader: Grader, outcome: Outcome) -> Grade:
        completion, failure = outcome.completion, outcome.failure
        if failure is None and completion is not None:
            said = guarded(grader.kind.kind, completion.text, None, lambda: parse_verdict(completion.text))
            if why := without_text(completion):
                said = unscored(f"The judge gave no verdict. {why}")
            return Grade(grader.score(said), outcome.settlement.call_id)
        if failure is not None and failure.stop == "run":
            # Nobody's verdict: the judge is asked again when the cause is cured.
            self._desk.stop("paused", str(failure))
            return Grade(grader.score(unscored(f"{NOT_ASKED} {failure}")))
        return Grade(grader.score(unscored(f"The judge failed: {failure}")), outcome.settlement.call_id)

    async def _judge(
        self, grader: Grader, cell: Cell, request: CompletionRequest, output: str, expected: str | None
    ) -> Outcome:
        params = grader.spec.params
        question = "\n\n".join(message.text for message in request.messages)
        cut = shown_answer(output, self._dispatcher.prices.max_tokens(request))
        messages = judge_messages(
            rubric=str(params.get("rubric", "")),
            question=question,
            answer=cut,
            expected=expected,
            nonce=secrets.token_hex(NONCE // 2),
        )
        judge = under_policy(
            CompletionRequest(str(params["model"]), messages, judge_params(params)), self._plan.data_policy
        )
        context = self._desk.context(cell, purpose="judge")
        while True:
            try:
                return await self._desk.affordable(lambda: self._dispatcher.complete(judge, context, gate=self.gate))
            except StoreError as error:
                # No intent could be written, so nothing was sent: the judge is asked when there is room.
                self._desk.live.note = str(error)
                await asyncio.sleep(STORE_WAIT_S)


def without_text(completion: Completion) -> str:
    """Why an answer has no text, in words; empty where it has some."""
    if completion.text.strip():
        return ""
    if completion.refusal:
        return f"The model refused: {shown(completion.refusal, 200)}."
    if completion.tool_calls:
        return "The answer has no text: the model called tools."
    return _EMPTY.get(completion.finish_reason or "", "The answer has no text.")


_EMPTY = {
    "length": "The answer was cut at max_tokens before it had any text.",
    "content_filter": "The answer has no text: a content filter withheld it.",
    "tool_calls": "The answer has no text: the model called tools.",
}
"""Finish reason -> what it says of an answer without text."""


def _before_asking(output: str, facts: Facts) -> Verdict:
    """What stands in a judge's place before it is asked: that, or why it will not be."""
    if facts.no_text:
        return unscored(f"The judge is not asked. {facts.no_text}")
    return guarded("judge", output, None, lambda: unscored(NOT_ASKED))


def _facts_of(kept: results.CellRecord) -> Facts:
    """What is known of an answer that stands in the store."""
    call = next((call for call in kept.calls if call.id == kept.result.call_id), None)
    cost = None if call is None or kept.result.cached else call.cost_pico
    reason = None if call is None else call.finish_reason
    return Facts(
        latency_ms=None if kept.result.cached else kept.result.total_ms,
        cost_usd=None if cost is None else from_pico(cost),
        finish_reason=reason,
        no_text="" if kept.output.strip() else _EMPTY.get(reason or "", "The answer has no text."),
    )


def fields_of(grades: Sequence[Grade]) -> dict[str, Any]:
    """The fields of a result that hold its scores."""
    return {"scores": tuple(g.score for g in grades), "judge_calls": tuple(g.call_id for g in grades)}
