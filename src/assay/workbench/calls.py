"""Single completions for other programs: sent through the ledger, with tags and the month's budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from assay.domain.messages import CompletionRequest
from assay.runs.dispatch import CallContext, Outcome

if TYPE_CHECKING:
    from assay.workbench.runtime import Runtime


def send_completion(
    rt: Runtime,
    request: CompletionRequest,
    *,
    tags: Sequence[str] = (),
    stream: bool = False,
    on_bytes: Callable[[bytes], None] | None = None,
) -> Future[Outcome]:
    """Sends a request for another program; the future holds its outcome once that is in the ledger.

    on_bytes: given a stream as it comes, from the runtime's thread. Cancelling the future stops the call. The future
    fails with BudgetExceeded when the month's budget leaves no room, StoreError when nothing can be written.
    """

    async def send() -> Outcome:
        context = CallContext(purpose="api", tags_json=json.dumps(list(tags), ensure_ascii=False))
        await rt.dispatcher.prices.learn(request.model)
        outcome = await rt.dispatcher.complete(request, context, stream=stream, on_bytes=on_bytes)
        await rt.dispatcher.settle(outcome.settlement)
        return outcome

    return rt.spawn(send())
