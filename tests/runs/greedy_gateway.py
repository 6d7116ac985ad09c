"""A gateway that bills as much as its price lists allow. Nothing here uses the product's arithmetic: bills are computed
anew from the rows as they were published, so that a bound is judged by somebody else's sums.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
CONTEXT = 4_000
IN_KEYS = ("prompt", "input_cache_read", "input_cache_write", "input_cache_write_1h")
OUT_KEYS = ("completion", "internal_reasoning", "audio_output")
SOUND_KEYS = ("audio", "input_audio_cache", "image_token")
FEES = ("request", "image", "web_search")
PICTURE_KEYS = ("image", "image_token", "audio", "input_audio_cache")
ODD_KEYS = ("video", "image_output", "prompt_v2")
HIDDEN = 700
"""Tokens that a provider puts before a prompt."""


def price_list(rng: random.Random, *, odd: bool) -> Row:
    """Prices for some of the keys; odd: one of a key that nobody knows, or that cannot be bounded."""
    found: Row = {"prompt": _amount(rng, 9), "completion": _amount(rng, 9)}
    for key in (*IN_KEYS[1:], *OUT_KEYS[1:], *SOUND_KEYS):
        if rng.random() < 0.3:
            found[key] = _amount(rng, 9)
    for key in FEES:
        if rng.random() < 0.3:
            found[key] = _amount(rng, 4)
    if rng.random() < 0.3:
        found["overrides"] = [
            {"min_prompt_tokens": rng.randrange(500), "prompt": _amount(rng, 9)},
            {"utc_start": 0, "utc_end": 1200, "completion": _amount(rng, 9)},
        ]
    if rng.random() < 0.2:
        found["discount"] = rng.choice([0, 0.1, 0.5])
    if odd:
        found[rng.choice(ODD_KEYS)] = rng.choice([_amount(rng, 3), "-1"])
    return found


def _amount(rng: random.Random, places: int) -> str:
    return str(Decimal(rng.randrange(1, 9_000)).scaleb(-places))


def catalogue(rng: random.Random, count: int) -> tuple[list[Row], dict[str, list[Row]]]:
    """Rows of models, and the endpoints of each: some free, some with odd prices."""
    rows, endpoints = [], {}
    for n in range(count):
        name, odd = f"g/m{n}", rng.random() < 0.15
        listed = price_list(rng, odd=odd) if rng.random() > 0.1 else {"prompt": "0", "completion": "0"}
        top = {"context_length": CONTEXT, "max_completion_tokens": 300, "is_moderated": False}
        rows.append({"id": name, "pricing": listed, "context_length": CONTEXT, "top_provider": top})
        count = 0 if listed["prompt"] == "0" else rng.randrange(3)
        endpoints[name] = [_endpoint(rng, k) for k in range(count)]
    return rows, endpoints


def _endpoint(rng: random.Random, number: int) -> Row:
    listed = price_list(rng, odd=rng.random() < 0.05)
    limits = {"context_length": CONTEXT, "max_completion_tokens": 300}
    return {"tag": f"p{number}", "provider_name": f"P{number}", "pricing": listed, **limits}


class Biller:
    """Makes bills out of requests as they came over the wire."""

    def __init__(self, rows: list[Row], endpoints: dict[str, list[Row]], rng: random.Random) -> None:
        self._lists: dict[str, list[_Prices]] = {}
        self._rng = rng
        for row in rows:
            self.read(row, endpoints[row["id"]])

    def read(self, row: Row, endpoints: list[Row]) -> None:
        """Bills a model by these lists from now on."""
        self._lists[row["id"]] = [_Prices(raw["pricing"]) for raw in (row, *endpoints)]

    def bill(self, body: Row) -> Decimal:
        """What one request costs: whoever of its models answers, from whichever endpoint, at any moment of a day."""
        rng = self._rng
        model = rng.choice([body["model"], *body.get("models", ())])
        name, *variants = model.split(":")
        listed = rng.choice(self._lists[name])
        parts = [part for m in body["messages"] for part in _parts(m)]
        size = sum(len(part.get("text", "").encode()) for part in parts)
        pictures = sum(part.get("type") == "image_url" for part in parts)
        tokens = rng.randint(0, CONTEXT if pictures else size + HIDDEN)
        prices = self._prices(listed, tokens)
        in_keys = [key for key in IN_KEYS + (SOUND_KEYS if pictures else ()) if key in prices]
        limit = max(body.get("max_tokens", 300), 16)
        answer = rng.randint(0, limit) * (body.get("n") or 1)
        out_keys = [key for key in OUT_KEYS if key in prices]
        amount = tokens * prices[rng.choice(in_keys)] if in_keys else Decimal(0)
        amount += answer * prices[rng.choice(out_keys)] if out_keys else Decimal(0)
        # Who cannot be understood may mean anything.
        amount += sum(rng.randint(0, 3) for key in listed.strange if pictures or key not in PICTURE_KEYS)
        amount += prices.get("request", Decimal(0)) + pictures * prices.get("image", Decimal(0))
        amount += rng.randint(0, 1) * prices.get("web_search", Decimal(0))
        amount += sum(rng.randint(0, 3) * abs(prices[key]) for key in ODD_KEYS if key in prices)
        if "online" in variants or body.get("plugins") or body.get("web_search_options") is not None:
            amount += Decimal(rng.choice(["0.02", "0.6", "3"]))
        if any(tool["type"] != "function" for tool in body.get("tools", ())):
            amount += Decimal(rng.randint(1, 30)).scaleb(-2)
        own_key = rng.random() < 0.2
        return amount * (Decimal("1.05") if own_key else 1)

    def _prices(self, listed: _Prices, tokens: int) -> dict[str, Decimal]:
        given = listed.base
        for override, changed in listed.overrides:
            if tokens > override.get("min_prompt_tokens", -1) and (
                "utc_start" not in override or self._rng.random() < 0.5
            ):
                given = given | changed
        return given


class _Prices:
    """A price list as it was published, read once; `strange` names what nobody can read."""

    def __init__(self, raw: Any) -> None:
        listed = raw if isinstance(raw, dict) else {"list": "gone"}
        self.strange = [k for k, v in listed.items() if k != "overrides" and (v is not None and _read(v) is None)]
        self.base = {k: amount for k, v in listed.items() if k != "discount" and (amount := _read(v)) is not None}
        self.strange += [key for key in ("prompt", "completion") if listed.get(key) is None]
        given = listed.get("overrides", ())
        entries = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list | tuple) else []
        if not isinstance(given, list | tuple) or len(entries) < len(given):
            self.strange.append("overrides")
        self.overrides = [
            (entry, {k: Decimal(v) for k, v in entry.items() if k in IN_KEYS + OUT_KEYS and _read(v) is not None})
            for entry in entries
        ]
        self.strange += [k for e in entries for k, v in e.items() if k in IN_KEYS + OUT_KEYS and _read(v) is None]


def _read(value: Any) -> Decimal | None:
    """A price as a number; None for what is none, or beyond reason."""
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    sound = not isinstance(value, bool) and amount.is_finite() and (0 <= amount < 10**6 or amount == -1)
    return amount if sound else None


MUTATIONS: dict[str, Any] = {
    "text": "about 1",
    "negative": "-0.5",
    "huge": "1e30",
    "object": {"usd": "1"},
    "list": ["1"],
    "bool": True,
    "nan": "NaN",
    "infinite": "Infinity",
    "empty": "",
}
MUTABLE = (
    "prompt",
    "completion",
    "request",
    "image",
    "web_search",
    "input_cache_write",
    "input_audio_cache",
    "discount",
)


def reprice(rng: random.Random, pricing: Any) -> Any:
    """Another list in place of one: dearer, with a new key, without one, unreadable, or sound again."""
    if rng.random() < 0.7:
        return price_list(rng, odd=False)
    how = rng.choice(("dearer", "dearer", "new key", "gone", "no list", "overrides", *MUTATIONS))
    before = dict(pricing) if isinstance(pricing, dict) else price_list(rng, odd=False)
    if how == "dearer":
        factor = rng.randrange(2, 50)
        return {k: str(amount * factor) if (amount := _read(v)) and k != "discount" else v for k, v in before.items()}
    if how == "new key":
        return before | {"prompt_v2": _amount(rng, 2)}
    if how == "gone":
        return {k: v for k, v in before.items() if k != "prompt"}
    if how == "no list":
        return rng.choice([None, "free", []])
    if how == "overrides":
        return before | {"overrides": rng.choice(["x", [1], {"prompt": "9"}, [{"utc_start": 0, "prompt": "much"}]])}
    return before | {rng.choice(MUTABLE): MUTATIONS[how]}


def _parts(message: Row) -> Iterator[Row]:
    content = message["content"]
    yield from content if isinstance(content, list) else [{"text": content}]
