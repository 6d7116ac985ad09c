"""Grading a run's answers: by rules at once, by judges with paid calls of their own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.domain.messages import CompletionRequest
from assay.domain.plan import Cell, RunPlan
from assay.domain.score import Score
from assay.errors import BudgetExceeded, StoreError
from assay.runs.dispatch import STORE_WAIT_S, Dispatcher, Gate, Outcome, Withdrawn
from assay.runs.grid import under_policy
from assay.scoring.graders import Grader, build
from assay.scoring.judge import judge_messages, judge_params, parse_verdict
from assay.scoring.kinds import Facts, unscored
from assay.store import results, runs
from assay.store.datasets import StoredRow

if TYPE_CHECKING:
    from assay.runs.worker import RunWorker

NOT_ASKED = "The judge has not been asked yet."
_KEPT = ("cached", "call_id", "cost_pico", "first_token_ms", "total_ms", "prompt_tokens", "completion_tokens")
"""Columns of a result that a judge's verdict leaves as they are."""


@dataclass(slots=True)
class Grade:
    """What one grader said of an answer; a judge that is still to be asked has made no call."""

    score: Score
    call_id: str | None = None


class Grading:
    """The graders of one run. gate: what a judge's call passes before it is sent."""

    def __init__(self, worker: RunWorker, plan: RunPlan, dispatcher: Dispatcher) -> None:
        self._worker = worker
        self._plan = plan
        self._dispatcher = dispatcher
        self._graders: list[Grader] = [build(spec) for spec in plan.graders]
        self.judges = {str(grader.spec.params["model"]) for grader in self._graders if grader.is_judge}
        """Models that are asked for verdicts."""
        self.gate: Gate | None = None

    def graded(self, row: StoredRow, output: str, facts: Facts) -> list[Grade]:
        """What every grader says; a judge's place is kept until it is asked."""
        return [
            Grade(
                grader.score(unscored(NOT_ASKED))
                if grader.is_judge
                else grader.grade(output, grader.expected_of(row.values, self._plan.expected_column), facts)
            )
            for grader in self._graders
        ]

    async def ask_kept(self, cell: Cell, row: StoredRow, request: CompletionRequest, kept: results.CellRecord) -> None:
        """Asks the judges that an earlier work could not ask; the answer stands and is not asked for again."""
        grades = [
            Grade(Score(grader.spec.label, score.value, score.passed, score.reason), score.call_id)
            for grader, score in zip(self._graders, kept.scores, strict=True)
        ]
        known = kept.result._mapping
        record = self._worker.record(
            cell, status="ok", output=kept.output, reasoning=kept.reasoning, **fields_of(grades),
            **{name: known[name] for name in _KEPT},
        )  # fmt: skip
        await self.ask_judges(cell, row, request, record, grades)

    async def ask_judges(
        self, cell: Cell, row: StoredRow, request: CompletionRequest, record: runs.ResultRecord, grades: list[Grade]
    ) -> None:
        """Asks the judges and stores the result with what they said and cost."""
        cost = record.cost_pico
        for place, grader in enumerate(self._graders):
            if not grader.is_judge or grades[place].call_id is not None:
                continue
            expected = grader.expected_of(row.values, self._plan.expected_column)
            try:
                outcome = await self._judge(grader, cell, request, record.output, expected)
            except (BudgetExceeded, Withdrawn) as error:
                self._worker.stop("paused", str(error))
                grades[place] = Grade(grader.score(unscored(f"{NOT_ASKED} {self._worker.halt_reason}")))
                continue
            cost = None if cost is None or outcome.total_pico is None else cost + outcome.total_pico
            grades[place] = self._verdict(grader, outcome)
            await self._worker.settle(outcome.settlement)
        await self._worker.save(replace(record, cost_pico=cost, **fields_of(grades)))

    def _verdict(self, grader: Grader, outcome: Outcome) -> Grade:
        completion, failure = outcome.completion, outcome.failure
        if failure is None and completion is not None:
            return Grade(grader.score(parse_verdict(completion.text)), outcome.settlement.call_id)
        if failure is not None and failure.stop == "run":
            # Nobody's verdict: the judge is asked again when the cause is cured.
            self._worker.stop("paused", str(failure))
            return Grade(grader.score(unscored(f"{NOT_ASKED} {failure}")))
        return Grade(grader.score(unscored(f"The judge failed: {failure}")), outcome.settlement.call_id)

    async def _judge(
        self, grader: Grader, cell: Cell, request: CompletionRequest, output: str, expected: str | None
    ) -> Outcome:
        params = grader.spec.params
        question = "\n\n".join(message.text for message in request.messages)
        messages = judge_messages(
            rubric=str(params.get("rubric", "")), question=question, answer=output, expected=expected,
            nonce=secrets.token_hex(6),
        )  # fmt: skip
        judge = under_policy(
            CompletionRequest(str(params["model"]), messages, judge_params(params)), self._plan.data_policy
        )
        context = self._worker.context(cell, purpose="judge")
        while True:
            try:
                return await self._worker.affordable(lambda: self._dispatcher.complete(judge, context, gate=self.gate))
            except StoreError as error:
                # No intent could be written, so nothing was sent: the judge is asked when there is room.
                self._worker.live.note = str(error)
                await asyncio.sleep(STORE_WAIT_S)


def fields_of(grades: Sequence[Grade]) -> dict[str, Any]:
    """The fields of a result that hold its scores."""
    return {"scores": tuple(g.score for g in grades), "judge_calls": tuple(g.call_id for g in grades)}
