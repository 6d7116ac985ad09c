"""The sandbox as an ASGI app under /api/v1."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assay.sandbox.batches import Batches
from assay.sandbox.billing import Books, number
from assay.sandbox.catalogue import EMBEDDERS, EVERYTHING, PERSONAS, Endpoint, Persona, endpoint_row, known_model, row
from assay.sandbox.chat import ConnectionCut, chat
from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.embeddings import embeddings
from assay.sandbox.faults import error
from assay.sandbox.responses import responses


class Sandbox:
    """A sandbox's settings and memory."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.books = Books(config)
        self._batches = Batches(config, self.books)

    def meet(self, faults: Sequence[Fault]) -> None:
        """Lets calls meet these faults from now on, instead of those before."""
        self.config = replace(self.config, faults=tuple(faults))
        self._batches.config = self.config

    def cover(self, credits_usd: Decimal) -> None:
        """Sets the account's credits."""
        self.config = replace(self.config, credits_usd=credits_usd)
        self._batches.config = self.books.config = self.config

    def _refusal(self, request: Request, *, management: bool = False) -> Response | None:
        """The error for a missing or wrong key; None: it may pass."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return error(401, "Missing Authentication header")
        if self.config.keys is not None and key.strip() not in self.config.keys:
            return error(401, "User not found.", {"error_type": "authentication"})
        if management and self.config.keys is not None and not key.startswith("sk-mgmt"):
            return error(403, "Only management keys can perform this operation")
        return None

    async def chat(self, request: Request) -> Response:
        """POST /chat/completions."""
        return self._refusal(request) or await chat(request, self.config, self.books)

    async def embeddings(self, request: Request) -> Response:
        """POST /embeddings."""
        return self._refusal(request) or await embeddings(request, self.config, self.books)

    async def responses(self, request: Request) -> Response:
        """POST /responses."""
        return self._refusal(request) or await responses(request, self.config, self.books)

    async def batches(self, request: Request) -> Response:
        """POST and GET /batches."""
        found = self._batches.create if request.method == "POST" else self._batches.listed
        return self._refusal(request) or await found(request)

    async def batch(self, request: Request) -> Response:
        """GET and DELETE /batches/{id}."""
        return self._refusal(request) or await self._batches.one(request)

    async def models(self, request: Request) -> Response:
        """GET /models and /models/user, paged when asked."""
        wanted = request.query_params
        rows = [row(persona) for persona in _with_outputs(wanted.get("output_modalities"))]
        start = int(wanted.get("offset", "0") or 0) if wanted.get("offset", "0").isdigit() else 0
        limited = wanted.get("offset") or wanted.get("limit")
        size = int(wanted.get("limit", "500")) if wanted.get("limit", "500").isdigit() else 500
        page = rows[start : start + size] if limited else rows
        more = f"/api/v1/models?offset={start + size}&limit={size}" if limited and start + size < len(rows) else None
        return JSONResponse({"data": page, "total_count": len(rows), "links": {"next": more}})

    async def embedders(self, request: Request) -> Response:
        """GET /embeddings/models."""
        return JSONResponse(
            {"data": [row(p) for p in EMBEDDERS], "total_count": len(EMBEDDERS), "links": {"next": None}}
        )

    async def count(self, request: Request) -> Response:
        """GET /models/count."""
        return JSONResponse({"data": {"count": len(_with_outputs(request.query_params.get("output_modalities")))}})

    async def model(self, request: Request) -> Response:
        """GET /model/{author}/{slug}."""
        persona = known_model(f"{request.path_params['author']}/{request.path_params['slug']}")
        return JSONResponse({"data": row(persona)}) if persona else error(404, "Model not found")

    async def endpoints(self, request: Request) -> Response:
        """GET /models/{author}/{slug}/endpoints."""
        persona = known_model(f"{request.path_params['author']}/{request.path_params['slug']}")
        if persona is None:
            return error(404, "Model not found")
        found = row(persona)
        data = {name: found[name] for name in ("id", "name", "created", "description", "architecture")}
        return JSONResponse({"data": data | {"endpoints": [self._endpoint(persona, e) for e in persona.endpoints]}})

    def _endpoint(self, persona: Persona, endpoint: Endpoint) -> dict[str, Any]:
        found = endpoint_row(persona, endpoint)
        if self.config.tells_terms:
            found["data_policy"] = {"training": endpoint.trains, "retainsPrompts": not endpoint.zdr}
        return found

    async def zdr(self, request: Request) -> Response:
        """GET /endpoints/zdr."""
        return JSONResponse({"data": [self._endpoint(p, e) for p in PERSONAS for e in p.endpoints if e.zdr]})

    async def providers(self, request: Request) -> Response:
        """GET /providers."""
        names = dict.fromkeys((e.provider, e.tag.split("/")[0]) for p in PERSONAS for e in p.endpoints)
        rows = [{"name": name, "slug": tag, "privacy_policy_url": None} for name, tag in names]
        return JSONResponse({"data": rows})

    async def generation(self, request: Request) -> Response:
        """GET /generation: 404 until the record is written."""
        if refusal := self._refusal(request):
            return refusal
        wanted = request.query_params.get("id", "")
        found = self.books.generations.get(wanted)
        if found is None or time.monotonic() < self.books.written_at[wanted]:
            return error(404, f"Generation {wanted[:60]} not found")
        return JSONResponse({"data": found})

    async def credits(self, request: Request) -> Response:
        """GET /credits, for management keys."""
        if refusal := self._refusal(request, management=True):
            return refusal
        total, used = self.config.credits_usd, self.books.spend
        return JSONResponse({"data": {"total_credits": number(total), "total_usage": number(used)}})

    async def activity(self, request: Request) -> Response:
        """GET /activity: completed days only, so a young sandbox has none."""
        return self._refusal(request, management=True) or JSONResponse({"data": []})

    async def key(self, request: Request) -> Response:
        """GET /key."""
        if refusal := self._refusal(request):
            return refusal
        used, own = number(self.books.spend), number(self.books.byok_spend)
        asked = sum(n for name, n in self.books.calls.items() if name.endswith(":free"))
        free = 50 if self.config.free_tier else 1000
        data: dict[str, Any] = {
            "label": "sandbox",
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            "usage": used,
            "usage_daily": used,
            "usage_weekly": used,
            "usage_monthly": used,
            "byok_usage": own,
            "byok_usage_daily": own,
            "byok_usage_weekly": own,
            "byok_usage_monthly": own,
            "is_free_tier": self.config.free_tier,
            "is_management_key": False,
            "is_provisioning_key": False,
            "creator_user_id": _user(request),
            "expires_at": None,
            "organization_id": None,
            "workspace_id": None,
            "allowed_data_regions": ["global"],
            "free_model_daily_requests": {"used": asked, "limit": free, "remaining": max(0, free - asked)},
            "effective_budget": None,
            "budgets": [],
            "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated."},
        }
        return JSONResponse({"data": data})

    async def stats(self, request: Request) -> Response:
        """GET /sandbox/stats: what was called and paid, for tests; not part of OpenRouter."""
        paid = self.books.paid
        return JSONResponse(
            {
                "calls": {name: n for name, n in self.books.calls.items() if "/" in name},
                "paid_calls": paid.total(),
                "paid_twice": sum(n - 1 for n in paid.values()),
                "spend": number(self.books.spend),
            }
        )


class _CutConnections:
    """Turns ConnectionCut into a connection that ends without an answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionCut:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": False})


def _user(request: Request) -> str:
    """The user of a key: each has its own."""
    return f"user_{hashlib.sha256(request.headers.get('authorization', '').encode()).hexdigest()[:12]}"


def _with_outputs(wanted: str | None) -> tuple[Persona, ...]:
    """The models with one of the modalities; only those that write text where none is named."""
    if not wanted:
        return PERSONAS
    named = wanted.split(",")
    return tuple(p for p in EVERYTHING if "all" in named or set(p.outputs) & set(named))


async def _unknown(request: Request, exc: Exception) -> Response:
    return error(404, "Not Found")


def create_app(sandbox: Sandbox | None = None) -> Starlette:
    """The ASGI app of a sandbox."""
    box = sandbox or Sandbox(SandboxConfig())
    api = "/api/v1"
    routes = [
        Route(f"{api}/chat/completions", box.chat, methods=["POST"]),
        Route(f"{api}/responses", box.responses, methods=["POST"]),
        Route(f"{api}/embeddings", box.embeddings, methods=["POST"]),
        Route(f"{api}/embeddings/models", box.embedders),
        Route(f"{api}/batches", box.batches, methods=["GET", "POST"]),
        Route(api + "/batches/{id}", box.batch, methods=["GET", "DELETE"]),
        Route(f"{api}/models", box.models),
        Route(f"{api}/models/user", box.models),
        Route(f"{api}/models/count", box.count),
        Route(api + "/models/{author}/{slug}/endpoints", box.endpoints),
        Route(api + "/model/{author}/{slug}", box.model),
        Route(f"{api}/endpoints/zdr", box.zdr),
        Route(f"{api}/providers", box.providers),
        Route(f"{api}/generation", box.generation),
        Route(f"{api}/credits", box.credits),
        Route(f"{api}/activity", box.activity),
        Route(f"{api}/key", box.key),
        Route("/sandbox/stats", box.stats),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _unknown})
    app.add_middleware(_CutConnections)
    return app
