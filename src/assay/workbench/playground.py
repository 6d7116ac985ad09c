"""The playground: one prompt, several contestants, answers side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from assay.domain.completion import Cost, names_of
from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.errors import DataError
from assay.runs.answers import Teacher
from assay.runs.estimate import Estimate, estimate_run, lengths_of
from assay.runs.grid import request_of
from assay.runs.panes import LivePane
from assay.store import comparisons, ledger
from assay.store.comparisons import ComparisonSummary
from assay.store.learnt import learnt_of
from assay.workbench.running.askable import model_problems

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["ComparisonSummary", "ComparisonView", "Pane"]
MOST = 10
"""Contestants of a comparison at most."""
TITLE = 80


@dataclass(frozen=True, slots=True)
class Pane:
    """One contestant's answer as the page shows it. Times in milliseconds."""

    position: int
    contestant: Contestant
    status: str
    """streaming, ok, failed, stopped or interrupted."""
    text: str
    reasoning: str
    error: str
    """What happened and the cure; empty when nothing failed."""
    first_token_ms: float | None
    total_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: Cost
    provider: str | None
    finish_reason: str | None
    failed_providers: tuple[str, ...] = ()
    """Providers that failed before the answer, with the status where it is known."""
    note: str = ""
    """What a reader must know beside the text: that it is a refusal, was cut, or is asked for again."""

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens per second after the first; None where it cannot be told."""
        if not self.completion_tokens or self.total_ms is None:
            return None
        spent = self.total_ms - (self.first_token_ms or 0)
        return self.completion_tokens / spent * 1000 if spent > 1 else None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A comparison as the page shows it."""

    id: str
    gateway: str
    created_ms: int
    title: str
    prompt: Prompt
    variables: Mapping[str, str]
    blind: bool
    vote: int | None
    panes: tuple[Pane, ...]

    @property
    def finished(self) -> bool:
        """Whether no answer is still coming in."""
        return all(pane.status != "streaming" for pane in self.panes)


def expected_cost(
    session: Session, prompt: Prompt, variables: Mapping[str, str], contestants: Sequence[Contestant]
) -> Estimate:
    """The cost of sending the prompt once to each contestant. Raises TemplateError for undefined variables."""
    plan = RunPlan("", 1, (prompt,), tuple(contestants))
    with session.store.read() as connection:
        estimate = estimate_run(
            plan,
            lengths_of(plan, [variables]),
            session.dispatcher.prices,
            teacher=Teacher(partial(learnt_of, connection)),
        )
    return estimate.cost


def start_comparison(
    session: Session,
    *,
    prompt: Prompt,
    variables: Mapping[str, str],
    contestants: Sequence[Contestant],
    blind: bool = False,
    request_id: str | None = None,
    allow_unknown: bool = False,
) -> str:
    """Sends the prompt to every contestant and returns the comparison's id at once; answers stream in behind.

    request_id: a second call with the same one sends nothing (a double click). allow_unknown: parameters and routing
    that nobody knows by name are sent. Raises TemplateError, DataError naming every problem.
    """
    if not 1 <= len(contestants) <= MOST:
        raise DataError(f"A comparison takes 1 to {MOST} models, not {len(contestants)}.", cure="Change the selection.")
    if not prompt.user.strip() and not prompt.messages:
        raise DataError("The prompt is empty.", cure="Write what the models should answer.")
    if problems := model_problems(session, contestants, allow_unknown=allow_unknown):
        raise DataError(" ".join(problems))
    requests = [request_of(prompt, contestant, variables) for contestant in contestants]
    comparison_id = request_id or ledger.new_id()
    messages = [message.as_json() for message in requests[0].messages]
    title = " ".join(requests[0].messages[-1].text.split())
    values = {
        "id": comparison_id,
        "created_ms": ledger.now_ms(),
        "gateway": session.gateway.name,
        "title": title if len(title) <= TITLE else f"{title[: TITLE - 1]}…",
        "blind": blind,
        "vote": None,
        "prompt_json": json.dumps(prompt.as_json(), ensure_ascii=False),
        "variables_json": json.dumps(dict(variables), ensure_ascii=False),
        "contestants_json": json.dumps([c.as_json() for c in contestants], ensure_ascii=False),
        "messages_json": json.dumps(messages, ensure_ascii=False),
    }
    session.store.writer.call(
        lambda c: comparisons.create_comparison(c, values, panes=len(contestants), owner=session.owner)
    )
    if not session.playground.panes(comparison_id):
        work = [(n, c.key, r) for n, (c, r) in enumerate(zip(contestants, requests, strict=True))]
        session.wait(session.playground.start(comparison_id, work))
    return comparison_id


def watch(session: Session, comparison_id: str) -> ComparisonView:
    """The comparison as it stands now: from memory while it streams, else from the store. Raises NotFound."""
    live = session.playground.panes(comparison_id)
    with session.store.read() as connection:
        stored = comparisons.get_comparison(connection, comparison_id)
    contestants = [Contestant.from_json(c) for c in json.loads(stored.row.contestants_json)]
    panes = [
        _live_pane(n, contestant, live[n])
        if n in live and live[n].status == "streaming"
        else _stored_pane(n, contestant, stored)
        for n, contestant in enumerate(contestants)
    ]
    return ComparisonView(
        comparison_id,
        stored.row.gateway,
        stored.row.created_ms,
        stored.row.title,
        Prompt.from_json(json.loads(stored.row.prompt_json)),
        json.loads(stored.row.variables_json),
        bool(stored.row.blind),
        stored.row.vote,
        tuple(panes),
    )


def _live_pane(position: int, contestant: Contestant, pane: LivePane) -> Pane:
    return Pane(
        position,
        contestant,
        "streaming",
        "".join(pane.text),
        "".join(pane.reasoning),
        "",
        pane.first_token_ms,
        (time.monotonic() - pane.started) * 1000,
        None,
        None,
        pane.cost,
        None,
        None,
        note=pane.note,
    )


def _stored_pane(position: int, contestant: Contestant, stored: comparisons.StoredComparison) -> Pane:
    answer = stored.answers[position]
    call: Any = stored.calls.get(answer.call_id or "")
    return Pane(
        position,
        contestant,
        answer.status,
        answer.text,
        answer.reasoning,
        answer.error,
        call.first_token_ms if call else None,
        call.total_ms if call else None,
        call.prompt_tokens if call else None,
        call.completion_tokens if call else None,
        Cost(call.cost_pico, call.provenance, call.upstream_pico) if call else Cost(None, "unknown"),
        call.provider if call else None,
        call.finish_reason if call else None,
        names_of(call.failed_providers_json) if call else (),
        answer.note,
    )


def stop_comparison(session: Session, comparison_id: str, position: int | None = None) -> None:
    """Stops one answer, or all of them; the connection is closed at once."""
    session.wait(session.playground.stop(comparison_id, position))


def retry_pane(session: Session, comparison_id: str, position: int) -> None:
    """Asks one contestant again; the earlier calls stay in the ledger."""
    view = watch(session, comparison_id)
    if view.gateway != session.gateway.name:
        raise DataError(
            f"This was asked at {view.gateway}, and calls go to {session.gateway.name} now.",
            cure="Send the prompt anew.",
        )
    contestant = view.panes[position].contestant
    request = request_of(view.prompt, contestant, view.variables)
    session.store.writer.call(
        lambda c: comparisons.save_answer(
            c, comparison_id, position, status="streaming", text="", error="", owner=session.owner
        )
    )
    session.wait(session.playground.start(comparison_id, [(position, contestant.key, request)]))


def vote(session: Session, comparison_id: str, position: int | None) -> None:
    """Votes for the best answer; -1: none of them, None: withdraws the vote."""
    session.store.writer.call(lambda c: comparisons.set_vote(c, comparison_id, position))


def history(session: Session, *, limit: int = 20, offset: int = 0, search: str = "") -> list[ComparisonSummary]:
    """Past comparisons, newest first."""
    with session.store.read() as connection:
        return comparisons.list_comparisons(connection, limit=limit, offset=offset, search=search)
