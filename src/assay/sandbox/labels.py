"""Sorting a text into the labels that a prompt offers, by clues; a model's errors fall on the runner-up."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

CLUES: Mapping[str, Sequence[tuple[float, str]]] = {
    "billing": (
        (3, r"refund|invoice|receipt|coupon|discount|charged?|vat\b|rechnung|facture|factura"),
        (2, r"paid|payment|price|bill\b|credit card|bank transfer|cost"),
    ),
    "bug": (
        (3, r"crash|error \d|exception|freez|blank|broken|timeout|bug\b|stuck|wrong total|jumps? back|question marks"),
        (2, r"fails?\b|slow|loop|glitch|does not work|since (?:this morning|the update|monday)|kaputt"),
    ),
    "account": (
        (3, r"password|username|two-factor|2fa|sign-on|log ?in\b|delete my account|signed up|verify|passwort"),
        (2, r"profile|access|locked|email address|account"),
    ),
    "feature request": (
        (
            5,
            r"could you add|(?:please|would you) add|i wish|idea:|(?:great|nice) (?:feature|to)"
            r"|would be (?:great|a nice)",
        ),
        (4, r"option to|could (?:really )?use|^could\b|please support|feature"),
    ),
    "shipping": (
        (3, r"parcel|package|deliver|shipped|tracking|courier|customs|lieferung|colis"),
        (2, r"my order|the order|arrived|box\b"),
    ),
    "cancellation": (
        (5, r"cancel|terminate|unsubscribe|quit\b|to leave|we leave|automatic renewal|subscription ends|notice period"),
        (2, r"contract|kündig|résili"),
    ),
    "positive": ((2, r"love|great|excellent|happy|thanks|perfect|amazing|good|wonderful"),),
    "negative": ((2, r"hate|bad|terrible|angry|awful|disappoint|worst|poor|broken|never"),),
    "neutral": ((1, r"okay|fine|question|wondering|information"),),
}
ALIASES: Mapping[str, str] = {
    "technical": "bug",
    "technical issue": "bug",
    "technical problem": "bug",
    "bug report": "bug",
    "login": "account",
    "feature": "feature request",
    "delivery": "shipping",
    "cancel": "cancellation",
    "payment": "billing",
    "refund": "billing",
    "account access": "account",
    "feature requests": "feature request",
}
_LISTED = re.compile(
    r"(?:categor(?:y|ies)|labels?|classes|one of|options?|choose(?: from)?|intents?|either)\b[^:\n(]{0,60}[:(][ \t]*"
    r"([^\n).?]{3,300})",
    re.IGNORECASE,
)
_BULLETS = re.compile(
    r"(?:categor|label|class|one of|option|choose|intent)[^\n]*\n((?:\s*(?:[-*•]|\d+[.)])\s+[^\n]{1,40}(?:\n|$)){2,})",
    re.IGNORECASE,
)
_MARK = re.compile(r"(?:ticket|message|text|review|email|input|feedback|comment)\s*:\s*", re.IGNORECASE)


def categories(text: str) -> list[str]:
    """The labels that a prompt offers ("one of: billing, bug, account", or a bulleted list); none: an empty list."""
    for found in _BULLETS.finditer(text):
        return [
            re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line).strip(" \"'`*.") for line in found[1].splitlines() if line
        ]
    for found in _LISTED.finditer(text):
        parts = re.split(r",|;|\||/|\bor\b|\band\b", found.group(1))
        labels = [part.strip(" \"'`*.") for part in parts]
        labels = [label for label in labels if 0 < len(label) <= 40 and len(label.split()) <= 4]
        if len(labels) >= 2:
            return labels
    return []


def classify(labels: Sequence[str], user: str, right: bool, rng: random.Random) -> str:
    """The label that fits the user's text best or, when wrong, the one that comes closest to it."""
    text = subject(user).lower()
    ranked = sorted(labels, key=lambda label: -_hits(label, text))
    if right or len(ranked) == 1:
        return ranked[0]
    return ranked[1] if _hits(ranked[1], text) > 0 else rng.choice(ranked[1:])


def subject(user: str) -> str:
    """The text to be sorted, without the instructions and the list of labels around it."""
    marks = list(_MARK.finditer(user))
    if marks and (rest := user[marks[0].end() :].strip()):
        return rest
    return (_LISTED.sub(" ", _BULLETS.sub(" ", user))).strip()


def _hits(label: str, text: str) -> float:
    name = label.lower().replace("_", " ").replace("-", " ").strip()
    clues = CLUES.get(ALIASES.get(name, name)) or ((2.0, re.escape(name)),)
    return sum(weight * len(set(re.findall(rf"(?<!\w)(?:{pattern})", text))) for weight, pattern in clues)
