"""A bounded acceptance run: every path to the gateway once, with a real key for a few cents at most, its cost first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from assay.domain.messages import CompletionRequest, Message
from assay.errors import AssayError, DataError
from assay.money import format_usd, format_usd_up, to_pico, usd
from assay.openrouter.catalogue import Model
from assay.runs.dispatch import Outcome
from assay.workbench.gateway.calls import send_completion, send_embeddings, send_response
from assay.workbench.gateway.doctor import Finding

if TYPE_CHECKING:
    from assay.workbench.session import Session

MOST_USD = usd("0.05")
MOST_TOKENS = 200
GENERATION_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""A record of a generation is written some seconds after the answer."""
ASK = (Message("user", "Answer with the name of one river."),)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "river",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Path:
    """A way to the gateway that is gone once."""

    name: str
    request: CompletionRequest
    stream: bool = False
    refused: bool = False
    """Whether the gateway is to refuse it."""
    over: Literal["chat", "responses", "embeddings"] = "chat"
    """The endpoint that is asked."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an acceptance run sends, and the most that it costs."""

    model: str
    paths: tuple[Path, ...]
    bound_pico: int

    def in_words(self) -> str:
        """The plan in a sentence."""
        beside = [f"one of {p.request.model}" for p in self.paths if p.over == "embeddings"]
        calls = " and ".join([f"{len(self.paths) - len(beside)} calls of {self.model}", *beside])
        return f"{calls}, at most {format_usd_up(self.bound_pico)} in all, every try counted"


def plan(session: Session, model_id: str = "") -> Acceptance:
    """The acceptance run with a model, or with the cheapest that takes tools. Raises DataError past five cents."""
    session.ready()
    model = session.catalogue.find(model_id) if model_id else _cheapest(session.catalogue.models())
    if model is None:
        raise DataError(f"No model {model_id!r} is in the catalogue." if model_id else "No model suits the run.")
    paths = (*_paths(model), *_embedding(session.catalogue.models()))
    total = 0
    for path in paths:
        if path.refused:
            continue
        session.wait(session.dispatcher.prices.learn_all(path.request))
        bound = session.dispatcher.prices.bound(path.request)
        if bound.pico is None:
            raise DataError(f"{path.request.model} has no bound: {bound.unknown}.", cure="Choose another --model.")
        total += bound.pico * session.settings.max_attempts  # a try that breaks off may be billed
    if total > to_pico(MOST_USD):
        most = format_usd(to_pico(MOST_USD))
        raise DataError(
            f"With {model.id} the run may cost {format_usd(total)}, more than {most}.", cure="Choose a cheaper --model."
        )
    return Acceptance(model.id, paths, total)


def _cheapest(models: tuple[Model, ...]) -> Model | None:
    fit = [
        m
        for m in models
        if "tools" in m.supported_parameters
        and "text" in m.output_modalities
        and not m.is_free
        and m.pricing.prompt is not None
        and m.pricing.completion is not None
        and m.pricing.completion > 0
    ]
    return min(fit, key=lambda m: (m.pricing.prompt or 0) + (m.pricing.completion or 0), default=None)


def _embedding(models: tuple[Model, ...]) -> Iterator[Path]:
    """One embedding by the cheapest model that makes them; a gateway without one: none."""
    fit = [
        m
        for m in models
        if "embeddings" in m.output_modalities and m.pricing.known and not m.is_free and not m.pricing.unclear
    ]
    if fit:
        cheapest = min(fit, key=lambda m: m.pricing.prompt or 0)
        yield Path("embeddings", CompletionRequest(cheapest.id, ASK), over="embeddings")


def _paths(model: Model) -> Iterator[Path]:
    def asked(
        messages: tuple[Message, ...] = ASK, *, provider: Mapping[str, Any] | None = None, **params: Any
    ) -> CompletionRequest:
        return CompletionRequest(model.id, messages, {"max_tokens": MOST_TOKENS, **params}, provider or {})

    yield Path("plain answer", asked())
    yield Path("streamed answer", asked(), stream=True)
    if "tools" in model.supported_parameters:
        weather = (Message("user", "What is the weather in Oslo? Use the tool."),)
        yield Path("tools", asked(weather, tools=[TOOL]))
    if "structured_outputs" in model.supported_parameters:
        yield Path("JSON schema", asked(response_format=SCHEMA))
    yield Path("fallback models", asked(models=[model.id]))
    yield Path("routing", asked(provider={"sort": "price", "data_collection": "deny"}))
    yield Path("Responses API", asked(), over="responses")
    nobody = CompletionRequest("assay-doctor/no-such-model", ASK, {"max_tokens": 1})
    yield Path("refusal in words", nobody, refused=True)


def accept(session: Session, planned: Acceptance) -> Iterator[Finding]:
    """Goes every path and says how each ended; every call is in the ledger, tagged doctor."""
    answered: Outcome | None = None
    for path in planned.paths:
        outcome = _send(session, path).result()
        yield _finding(path, outcome)
        answered = answered or (outcome if outcome.failure is None else None)
    if answered is not None:
        yield _generation(session, answered)
    yield _call("model list of this key", lambda: session.wait(session.client.models(only_mine=True)))
    yield _call("endpoints", lambda: session.wait(session.client.endpoints(planned.model)))
    yield _call("zero-retention list", lambda: session.wait(session.client.zdr_endpoints()))
    if session.settings.openrouter_management_key is not None or session.is_sandbox:
        yield _call("credits", lambda: session.wait(session.client.credits()))
        yield _call("activity", lambda: session.wait(session.client.activity()), empty=True)


def _send(session: Session, path: Path) -> Future[Outcome]:
    tags = ("doctor",)
    if path.over == "embeddings":
        return send_embeddings(session, path.request, ASK[0].text, tags=tags)
    if path.over == "responses":
        return send_response(session, path.request, tags=tags)
    return send_completion(session, path.request, tags=tags, stream=path.stream)


def _finding(path: Path, outcome: Outcome) -> Finding:
    name, cost = f"live: {path.name}", outcome.settlement.cost
    if outcome.failure is not None:
        said = f"{outcome.failure.kind}: {outcome.error or ''}".strip(": ")
        return Finding(
            name, "ok" if path.refused else "fail", f"Refused as it should be ({said})." if path.refused else said
        )
    if path.refused:
        return Finding(name, "warn", "A model that does not exist was answered.")
    done = outcome.completion
    who = f"{done.provider or 'an unnamed provider'}" if done else "nobody"
    what = "a tool call" if done and done.tool_calls else f"{len(done.text) if done else 0} characters"
    if path.over == "embeddings" and done:
        what = f"a vector of {len(done.body):,} bytes"
    came = done is not None and bool(done.text or done.tool_calls or done.body)
    money = format_usd(cost.pico) if cost.pico is not None else "an unknown amount"
    state = "ok" if cost.provenance in ("billed", "upstream") and came else "warn"
    return Finding(name, state, f"{what} from {who}, {money} {cost.provenance}.")  # type: ignore[arg-type]


def _generation(session: Session, outcome: Outcome) -> Finding:
    """Whether the gateway's own record of a call has the cost that the answer had."""
    name, wanted = "live: generation record", outcome.settlement
    if not wanted.generation_id:
        return Finding(name, "warn", "The answer had no id to look up.")
    for wait_s in (*GENERATION_WAITS_S, 0.0):
        try:
            found = session.wait(session.client.generation(wanted.generation_id))
        except AssayError as error:
            return Finding(name, "fail", str(error))
        if found is not None:
            told = found.get("total_cost")
            same = told is not None and wanted.cost.pico is not None and to_pico(usd(told)) == wanted.cost.pico
            return Finding(name, "ok" if same else "warn", "It has the same cost." if same else "It has another cost.")
        time.sleep(wait_s)
    return Finding(name, "warn", "The gateway has no record of the call yet.")


def _call(name: str, ask: Callable[[], Any], *, empty: bool = False) -> Finding:
    try:
        found = ask()
    except AssayError as error:
        return Finding(f"live: {name}", "fail", error.message, error.cure)
    return Finding(f"live: {name}", "ok" if found or empty else "warn", "Answered." if found or empty else "Empty.")
