"""Who may answer under a data policy: asked of the gateway before a run, so that nothing is refused halfway.

Candidate     one who would be called: a contestant or a judge
Compliance    asks for endpoints (`/models/{id}/endpoints`) and for those that retain nothing (`/endpoints/zdr`)
Findings      who is refused and why, who remains, and what the gateway does not tell
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from assay.domain.contestant import Contestant
from assay.domain.data_policy import Policy, narrowed, uncovered
from assay.domain.score import GraderSpec
from assay.errors import PolicyError
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.gateways import Gateways
from assay.openrouter.pricing import parse_pricing
from assay.runs.prices import PriceBook, allowed

FRESH_S = 600.0
"""Seconds for which the list of endpoints that retain nothing is believed."""
Row = Mapping[str, Any]


class Candidate(NamedTuple):
    """One who would be called."""

    role: Literal["contestant", "judge"]
    name: str
    model: str
    """Model id as sent."""
    params: Mapping[str, Any]
    provider: Mapping[str, Any]


def candidates(contestants: Iterable[Contestant], graders: Iterable[GraderSpec]) -> list[Candidate]:
    """Everyone that a run would call, judges included."""
    found = [Candidate("contestant", c.name, c.model_id, c.params, c.provider) for c in contestants]
    judges = dict.fromkeys(str(g.params["model"]) for g in graders if g.kind == "judge" and g.params.get("model"))
    return [*found, *(Candidate("judge", model, model, {}, {}) for model in judges)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Someone who may not answer, and why."""

    candidate: Candidate
    reason: str

    def __str__(self) -> str:
        return f"The {self.candidate.role} {self.candidate.name} is refused: {self.reason}."


@dataclass(frozen=True, slots=True)
class Findings:
    """What a policy lets through."""

    refused: tuple[Refusal, ...] = ()
    remaining: tuple[Candidate, ...] = ()
    untold: tuple[Candidate, ...] = ()
    """Those of the remaining of whom the gateway does not list who trains: each request carries the ban, and the
    gateway refuses to route it where nobody complies."""


class _ZdrKey(NamedTuple):
    model: str
    tag: str
    free: bool


def _zdr_key(row: Row) -> _ZdrKey:
    # A free variant's endpoint has the model id and tag of the paid one, and its own terms.
    return _ZdrKey(str(row.get("model_id")), str(row.get("tag")), parse_pricing(row.get("pricing")).is_free)


@dataclass(slots=True)
class Compliance:
    """Asks the gateway who complies. Belongs to the runtime's loop."""

    gateways: Gateways
    prices: PriceBook
    _zdr: frozenset[_ZdrKey] = frozenset()
    _zdr_rows: Sequence[Row] = ()
    _asked_s: float | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check(self, wanted: Sequence[Candidate], policy: Policy) -> Findings:
        """Who may answer under the policy; what cannot be asked is refused, not believed."""
        if not policy:
            return Findings(remaining=tuple(wanted))
        problem = await self._learn_zdr() if policy.get("zdr") or policy.get("data_collection") == "deny" else ""
        said = await asyncio.gather(*(self._reason(one, policy, problem) for one in wanted))
        pairs = list(zip(wanted, said, strict=True))
        return Findings(
            tuple(Refusal(one, reason) for one, reason in pairs if reason),
            tuple(one for one, reason in pairs if not reason),
            tuple(one for one, reason in pairs if not reason and not self._is_told(one, policy)),
        )

    async def zdr_rows(self) -> Sequence[Row]:
        """Every endpoint that retains nothing, as the gateway lists them. Raises PolicyError when it cannot."""
        if problem := await self._learn_zdr():
            raise PolicyError(f"The endpoints that retain nothing cannot be listed: {problem}", cure="Try again.")
        return self._zdr_rows

    async def _learn_zdr(self) -> str:
        """Fetches the endpoints that retain nothing where that is due; why it failed, or empty."""
        async with self._asking:
            if self._asked_s is not None and time.monotonic() - self._asked_s < FRESH_S:
                return ""
            main = self.gateways.main
            if not main.gateway.speaks_openrouter:
                return ""
            try:
                self._zdr_rows = [row for row in await main.zdr_endpoints() if isinstance(row, Mapping)]
            except GatewayFailed as error:
                return str(error)
            self._zdr = frozenset(_zdr_key(row) for row in self._zdr_rows)
            self._asked_s = time.monotonic()
            return ""

    async def _reason(self, one: Candidate, policy: Policy, zdr_problem: str) -> str:
        """Why someone is refused; empty: nothing speaks against it."""
        if said := uncovered(one.model, one.params):
            return said
        try:
            routing = narrowed(one.provider, policy)
        except PolicyError as error:
            return error.message.removesuffix(".")
        client = self.gateways.of(one.model).client
        if client is not self.gateways.main or not client.gateway.speaks_openrouter:
            name = client.gateway.name
            if name.lower() in policy.get("only", ()):
                return ""
            return f"what the endpoint {name} keeps is not known; name it among the allowed providers if you trust it"
        await self.prices.learn(one.model)
        rows = self.prices.endpoints(one.model)
        if rows is None:
            return "its providers could not be asked for; try again"
        return self._endpoint_reason(one, rows, routing, zdr_problem)

    def _endpoint_reason(self, one: Candidate, rows: Sequence[Row], routing: Policy, zdr_problem: str) -> str:
        names = ", ".join(dict.fromkeys(str(row.get("provider_name")) for row in rows)) or "none listed"
        left = _routed(rows, routing)
        if not left:
            return f"none of its providers ({names}) is allowed"
        if routing.get("zdr"):
            if zdr_problem:
                return f"the endpoints that retain nothing could not be asked for ({zdr_problem.removesuffix('.')})"
            left = [row for row in left if _zdr_key(row) in self._zdr]
            if not left:
                return f"none of its providers ({names}) that are allowed has zero data retention"
        if routing.get("data_collection") == "deny":
            if all(_trains(row) is True for row in left):
                return f"every provider of it that is allowed may train on prompts ({names})"
            if "free" in one.model.split(":")[1:] and not any(self._is_clean(row) for row in left):
                return "free variants are commonly paid for with the prompts, and none of its providers is known not to"
        return ""

    def _is_clean(self, row: Row) -> bool:
        return _trains(row) is False or _zdr_key(row) in self._zdr

    def _is_told(self, one: Candidate, policy: Policy) -> bool:
        rows = self.prices.endpoints(one.model)
        if policy.get("data_collection") != "deny" or policy.get("zdr") or rows is None:
            return True
        return any(self._is_clean(row) for row in _routed(rows, narrowed(one.provider, policy)))


def _routed(rows: Sequence[Row], routing: Mapping[str, Any]) -> list[Row]:
    """The endpoints that `only`, `ignore`, and an order without fallbacks leave."""
    left = [row for row in rows if allowed(row, routing)]
    if routing.get("allow_fallbacks") is False and routing.get("order"):
        left = [row for row in left if allowed(row, {"only": routing["order"]})]
    return left


def _trains(row: Row) -> bool | None:
    """Whether an endpoint may train on prompts; None: not told, as in OpenRouter's public lists."""
    terms = row.get("data_policy")
    training = terms.get("training") if isinstance(terms, Mapping) else None
    return training if isinstance(training, bool) else None
