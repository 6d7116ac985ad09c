"""POST /responses: the Responses API as a completion (wire reference 7.10)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from assay.domain.completion import Completion
from assay.domain.messages import CompletionRequest
from assay.openrouter.client import Client
from assay.openrouter.failures import GatewayFailed, classify_error, failure_of
from assay.openrouter.usage import cost_of, parse_usage
from assay.openrouter.wire_values import id_of, text_of

_RENAMED = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


async def respond(client: Client, request: CompletionRequest) -> Completion:
    """The answer to messages of text, not streamed. `max_tokens` is sent by its name there. Raises GatewayFailed."""
    params = {"max_output_tokens" if name == "max_tokens" else name: value for name, value in request.params.items()}
    messages = [{"role": message.role, "content": message.text} for message in request.messages]
    asked = {"model": request.model, "input": messages, **params}
    if request.provider and client.gateway.speaks_openrouter:
        asked["provider"] = dict(request.provider)
    answer = await client.call("POST", "/responses", content=json.dumps(asked).encode())
    return response_of(answer)


def response_of(answer: Mapping[str, Any]) -> Completion:
    """A response object as a completion. Raises GatewayFailed for one that failed or says nothing."""
    if answer.get("status") == "failed":
        raise GatewayFailed(classify_error(answer.get("error")) if answer.get("error") else failure_of("empty"))
    text = "".join(_texts(answer.get("output")))
    if not text:
        raise GatewayFailed(failure_of("empty", detail="the response holds no text"))
    said = answer.get("usage")
    told = {_RENAMED.get(name, name): value for name, value in said.items()} if isinstance(said, Mapping) else None
    usage = parse_usage(told)
    return Completion(
        text,
        "length" if answer.get("status") == "incomplete" else "stop",
        usage,
        cost_of(usage),
        model=text_of(answer.get("model")),
        generation_id=id_of(answer.get("id")),
    )


def _texts(output: object) -> Iterator[str]:
    for item in output if isinstance(output, list) else ():
        content = item.get("content") if isinstance(item, Mapping) and item.get("type") == "message" else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping) and isinstance(text := part.get("text"), str):
                yield text
