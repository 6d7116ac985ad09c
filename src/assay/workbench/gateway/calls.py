"""Single completions for other programs: sent through the ledger, with tags and the month's budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest
from assay.errors import GatewayError
from assay.openrouter.attempt import OnBytes
from assay.openrouter.client import Client
from assay.openrouter.responding import respond
from assay.runs.dispatch import Ask, CallContext, Outcome

if TYPE_CHECKING:
    from assay.workbench.session import Session


PATIENCE_S = 60.0
"""Seconds that another program's call waits at most for a model that the gateway has told us to leave alone."""


class ModelHeld(GatewayError):
    """The gateway asked to leave the model alone for longer than a caller should be kept waiting."""

    def __init__(self, model: str, retry_after_s: float) -> None:
        super().__init__(f"The gateway asked not to be asked for {model} now.", cure="Come back later.")
        self.retry_after_s = retry_after_s


def _refuse_held(session: Session, model: str) -> None:
    if (held := session.dispatcher.pacer.held_s(model)) > PATIENCE_S:
        raise ModelHeld(model, held)


def send_completion(
    session: Session,
    request: CompletionRequest,
    *,
    tags: Sequence[str] = (),
    stream: bool = False,
    on_bytes: OnBytes | None = None,
    on_restart: Callable[[str], None] | None = None,
) -> Future[Outcome]:
    """Sends a request for another program; the future holds its outcome once that is in the ledger.

    on_bytes: given a stream as it comes, from the runtime's thread; says whether the program saw any of it.
    on_restart: told why before a further try, while it has not. Cancelling the future stops the call. The future
    fails with ModelHeld, with BudgetExceeded when the month's budget leaves no room, and with StoreError when
    nothing can be written.
    """

    async def send() -> Outcome:
        context = CallContext(purpose="api", tags_json=json.dumps(list(tags), ensure_ascii=False))
        _refuse_held(session, request.model)
        await session.dispatcher.prices.learn(request.model)
        outcome = await session.dispatcher.complete(
            request, context, stream=stream, on_bytes=on_bytes, on_restart=on_restart
        )
        await session.dispatcher.settle(outcome.settlement)
        return outcome

    return session.spawn(send())


def send_embeddings(
    session: Session, request: CompletionRequest, texts: str | list[Any], *, tags: Sequence[str] = ()
) -> Future[Outcome]:
    """Asks for the embeddings of texts, in the ledger and within the budget like a completion.

    request: the model, its parameters, and the texts as one message, by which the call is bounded. The outcome's
    completion holds the gateway's answer as its body.
    """

    async def ask(client: Client, asked: CompletionRequest) -> Completion:
        return await client.embed(asked.model, texts, params=asked.params, provider=asked.provider)

    return _send_asked(session, request, ask, tags)


def send_response(session: Session, request: CompletionRequest, *, tags: Sequence[str] = ()) -> Future[Outcome]:
    """Asks over the gateway's Responses API, in the ledger and within the budget like a completion."""
    return _send_asked(session, request, respond, tags)


def _send_asked(session: Session, request: CompletionRequest, ask: Ask, tags: Sequence[str]) -> Future[Outcome]:
    async def send() -> Outcome:
        context = CallContext(purpose="api", tags_json=json.dumps(list(tags), ensure_ascii=False))
        _refuse_held(session, request.model)
        await session.dispatcher.prices.learn(request.model)
        outcome = await session.dispatcher.complete(request, context, ask=ask)
        await session.dispatcher.settle(outcome.settlement)
        return outcome

    return session.spawn(send())
