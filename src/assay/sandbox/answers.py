"""What the invented models say: deterministic per (model, messages, seed), plausible to a person, never real."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from assay.sandbox.catalogue import Persona
from assay.sandbox.labels import categories, classify

TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])|\s+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says, split into tokens by the caller."""

    text: str
    reasoning: str = ""


def tokens(text: str) -> list[str]:
    """The text as the sandbox's tokens; joined they are the text."""
    return TOKEN.findall(text)


def text_of(content: object) -> str:
    """Text of a message's content; parts that are not text are named."""
    if isinstance(content, list):
        return "\n".join(str(p.get("text", f"[{p.get('type')}]")) for p in content if isinstance(p, Mapping))
    return content if isinstance(content, str) else ""


def seeded(persona: Persona, body: Mapping[str, Any], salt: int) -> random.Random:
    """Randomness that is the same for the same model, messages and seed."""
    key = json.dumps([persona.id, body.get("messages"), body.get("seed"), salt], sort_keys=True, default=str)
    return random.Random(hashlib.sha256(key.encode("utf-8", "replace")).digest())  # noqa: S311 - repeatable, no secret


def answer(persona: Persona, body: Mapping[str, Any], *, salt: int = 0) -> Answer:
    """The answer to a request body."""
    messages: Sequence[Mapping[str, Any]] = [m for m in body.get("messages", []) if isinstance(m, Mapping)]
    user = next((text_of(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), "")
    system = "\n".join(text_of(m.get("content")) for m in messages if m.get("role") in ("system", "developer"))
    rng = seeded(persona, body, salt)
    problem = find_problem(user)
    if persona.recorded:
        said = problem[persona.recorded]["solution"] if problem else "No recorded answer for this prompt."
        return Answer(str(said))
    text, thought = _say(persona, rng, system, user, body, problem)
    return Answer(text, thought if persona.reasons else "")


def _say(
    persona: Persona,
    rng: random.Random,
    system: str,
    user: str,
    body: Mapping[str, Any],
    problem: Mapping[str, Any] | None,
) -> tuple[str, str]:
    whole = f"{system}\n{user}"
    right = rng.random() < persona.quality
    if "<answer-" in whole and '"score"' in whole:
        return _judge(whole, rng), "Comparing the answer with what was expected."
    if problem:
        return _solve(problem, persona, right, rng)
    labels = categories(whole)
    if labels:
        label = classify(labels, user, right, rng)
        return _phrase_label(persona, label, body, whole), f"The text mentions what belongs to {label}."
    if _wants_json(body, whole):
        return _json_text(persona, _fill(_schema(body), user, rng)), "The answer must be JSON."
    if re.search(r"\bsumm?ar|\btl;?dr|\bone sentence\b", whole, re.IGNORECASE):
        return _summary(user, persona), "Picking the sentences that carry the most."
    return _essay(user, persona, rng), "Laying out the answer before writing it."


# -- maths -----------------------------------------------------------------------------------------------------


@cache
def _problems() -> dict[str, dict[str, Any]]:
    lines = resources.files("assay.sandbox").joinpath("recorded/gsm8k_200.jsonl").read_text("utf-8").splitlines()
    return {_flat(row["question"]): row for row in map(json.loads, lines)}


def _flat(text: str) -> str:
    return " ".join(text.split())


def find_problem(user: str) -> Mapping[str, Any] | None:
    """The bundled problem that the text holds; None: it holds none."""
    flat = _flat(user)
    problems = _problems()
    if flat in problems:
        return problems[flat]
    return next((row for question, row in problems.items() if question in flat), None)


def _solve(problem: Mapping[str, Any], persona: Persona, right: bool, rng: random.Random) -> tuple[str, str]:
    steps, _, gold = str(problem["ground_truth"]).rpartition("A:")
    steps = re.sub(r"<<[^>]*>>", "", steps).strip()
    number = gold.strip().replace(",", "")
    if not right:
        value = float(number)
        number = format(value + rng.choice((-2, -1, 1, 2, 10, value or 5)), "g")
    if persona.verbosity == 0:
        return f"The answer is {number}.", steps
    return f"{steps}\n\nThe answer is **{number}**.", steps


# -- classification --------------------------------------------------------------------------------------------


def _phrase_label(persona: Persona, label: str, body: Mapping[str, Any], whole: str) -> str:
    if _wants_json(body, whole):
        return _json_text(persona, {"category": label, "confidence": 0.9})
    if persona.verbosity == 2:
        return (
            f"Having read the message carefully, I would file it under **{label}**. The wording points that way, and "
            "the other categories fit less well. Let me know if you would like a second opinion!"
        )
    return f"Category: {label}" if persona.verbosity == 1 else label


# -- JSON ------------------------------------------------------------------------------------------------------


def _wants_json(body: Mapping[str, Any], whole: str) -> bool:
    wanted = body.get("response_format")
    return (isinstance(wanted, Mapping) and str(wanted.get("type", "")).startswith("json")) or "json" in whole.lower()


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = body.get("response_format")
    spec = wanted.get("json_schema") if isinstance(wanted, Mapping) else None
    schema = spec.get("schema") if isinstance(spec, Mapping) else None
    default = {"type": "object", "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}}}
    return schema if isinstance(schema, Mapping) else default


def _fill(schema: Mapping[str, Any], user: str, rng: random.Random, depth: int = 0) -> Any:
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object" and depth < 6:
        inner = schema.get("properties")
        return {k: _fill(v, user, rng, depth + 1) for k, v in (inner or {}).items() if isinstance(v, Mapping)}
    if kind == "array":
        items = schema.get("items")
        return [_fill(items, user, rng, depth + 1)] if isinstance(items, Mapping) and depth < 6 else []
    if kind == "integer":
        return rng.randint(1, 9)
    if kind == "number":
        return round(rng.uniform(0.5, 1), 2)
    if kind == "boolean":
        return rng.random() < 0.5
    return None if kind == "null" else _first_sentence(user)[:120]


def _json_text(persona: Persona, value: Any) -> str:
    if persona.json == "never":
        return f"Sure! In short: {', '.join(f'{k} is {v}' for k, v in value.items())}."
    text = json.dumps(value, ensure_ascii=False)
    return text if persona.json == "strict" else f"```json\n{text}\n```"


def _judge(whole: str, rng: random.Random) -> str:
    def part(name: str) -> str:
        found = re.search(rf"<{name}-(\w+)>\n?(.*?)\n?</{name}-\1>", whole, re.DOTALL)
        return found.group(2) if found else ""

    given, expected = _flat(part("answer")).lower(), _flat(part("expected")).lower()
    if expected:
        met = expected in given
        score = 1.0 if given == expected else 0.8 if met else 0.1
        reason = "The answer agrees with what was expected." if met else "The answer differs from what was expected."
    else:
        length = len(given.split())
        score = round(min(1.0, 0.4 + length / 120 + rng.uniform(0, 0.15)), 2)
        reason = "Clear and on topic." if score >= 0.5 else "Too thin to be useful."
    return json.dumps({"score": score, "pass": score >= 0.5, "reason": reason})


# -- prose -----------------------------------------------------------------------------------------------------


def _first_sentence(text: str) -> str:
    body = text.strip().split("\n")[-1] if "\n" in text.strip() else text.strip()
    return (re.split(r"(?<=[.!?])\s", body) or [body])[0].strip() or "Nothing was asked."


def _summary(user: str, persona: Persona) -> str:
    body = max(user.split("\n"), key=len)
    sentences = [s for s in re.split(r"(?<=[.!?])\s+", body.strip()) if s]
    kept = sentences[: 1 + persona.verbosity]
    return " ".join(kept) or "There is nothing to summarise."


_STOP = frozenset(
    [
        "about",
        "above",
        "after",
        "again",
        "their",
        "there",
        "these",
        "those",
        "which",
        "while",
        "would",
        "could",
        "should",
        "with",
        "from",
        "that",
        "this",
        "have",
        "what",
        "when",
        "where",
        "your",
        "please",
        "write",
        "explain",
    ]
)
_OPENERS = ("The short answer", "What matters most", "Seen from practice", "The core of it")
_POINTS = (
    "**{a}** sets the direction: start from it and leave the rest for later.",
    "Weigh **{a}** against {b}; most mistakes come from looking at one of them alone.",
    "Keep {b} small at first, measure, and only then widen it.",
    "Write down what would change your mind about {a} before you begin.",
    "Ask who is affected by {b}, and talk to them early.",
    "If {a} and {b} pull apart, prefer the one that can be undone.",
)


def _essay(user: str, persona: Persona, rng: random.Random) -> str:
    words = [w for w in re.findall(r"[A-Za-z]{5,}", user) if w.lower() not in _STOP] or ["the question"]
    topic = rng.sample(words, min(2, len(words)))
    a, b = topic[0].lower(), topic[-1].lower() if len(topic) > 1 else "time"
    opening = f"{rng.choice(_OPENERS)}: it depends on {a}, and less than one would think on {b}."
    if persona.verbosity == 0:
        return f"{opening} {rng.choice(_POINTS).format(a=a, b=b)}"
    points = rng.sample(_POINTS, 2 + 2 * (persona.verbosity - 1))
    listed = "\n".join(f"{n}. {point.format(a=a, b=b)}" for n, point in enumerate(points, 1))
    closing = "\n\nIn short: begin small, look at what happens, and adjust." if persona.verbosity == 2 else ""
    return f"{opening}\n\n{listed}{closing}"
