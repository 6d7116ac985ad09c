"""Which letters the languages of a legacy encoding use most: bytes that are letters in several are told by them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice

_LETTERS = {
    "cyrillic": ("\u0400-\u04ff", "оеаинтсрвл"),
    "greek": ("\u0370-\u03ff\u1f00-\u1fff", "αοιετσνηυρκπςάόίήέ"),
    "hebrew": ("\u0590-\u05ff", "יוהלארתבשמםן"),
    "arabic": ("\u0600-\u06ff", "اليمنورتبةعد"),
    "thai": ("\u0e00-\u0e7f", "านรอกเงมยลวดทส่้"),
}
"""The characters of a script, and its commonest."""
SCRIPTS = {
    "cp1251": "cyrillic",
    "koi8-r": "cyrillic",
    "cp866": "cyrillic",
    "iso8859-5": "cyrillic",
    "cp1253": "greek",
    "iso8859-7": "greek",
    "cp1255": "hebrew",
    "cp1256": "arabic",
    "iso8859-6": "arabic",
    "cp874": "thai",
}
"""Encodings of one byte a character whose letters stand side by side. Of equals the first is taken."""
_WESTERN = (
    "éèàêçùôîâûëïœ",
    "äöüß",
    "áéíóúñü",
    "ãçáéõíóêâàúô",
    "èàòùìé",
    "åäöé",
    "øåæé",
    "áðíþóéúýöæ",
)
_CENTRAL = ("ąęłóśżćńź", "áíěéýřčšžůúťňďó", "áéíýčšžľúťňôďäó", "éáóőöüíúű", "ăîâşţș", "čšžćđ")
_LANGUAGES = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "iso8859-2": _CENTRAL,
    "cp1254": ("ıüşğçöi", "éèàêçùôîâûëï"),
    "cp1257": ("āēīšžūņļķģč", "ėšžųįąčūę", "äõöüšž"),
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
}
"""The letters beyond ASCII of an encoding's languages, each by how often they come. Of equals the first is taken."""
LATIN = tuple(_LANGUAGES)
_SIGNS = frozenset(
    "\u2018\u2019\u201c\u201d\u201e\u2013\u2014\u2026\u20ac\u00a3\u00a7\u00b0\u00ab\u00bb\u00a0\u00bf\u00a1\u00ae\u2122\u00a9"
)
_BEYOND = re.compile("([^\x00-\x7f])")
_RUNS = re.compile(rb"([A-Za-z]?)[\x80-\xff]+([A-Za-z]?)")
LOOKED_AT = 5_000
"""Characters that are looked at."""
_MARGIN = 0.4
"""By how much the logarithm of a letter's chance must be higher for another encoding than the western one."""


def judge_of(script: str) -> Callable[[str], float]:
    """Says 0..1 how well the characters beyond ASCII of a text look like the language of a script.

    Most letters are small, and most are among the commonest; in a wrong encoding they are others.
    """
    within, commonest = _LETTERS[script]

    def judge(text: str) -> float:
        small = sum(c.islower() or not c.isupper() for c in text) / len(text)
        common = sum(c in commonest for c in text) / len(text)
        share = len(re.findall(f"[{within}]", text)) / len(text)
        return share * min(1.0, 0.3 + 0.35 * small + 0.5 * common)

    return judge


def latin(sample: bytes) -> str:
    """The encoding of a text in Latin letters whose few bytes beyond ASCII make the likeliest letters of a language."""
    found = {name: _chance(sample, name) for name in _LANGUAGES}
    best = max(found, key=lambda name: found[name])
    western = found["cp1252"]
    beyond = sum(byte > 127 for byte in sample)
    if found[best] > western + _MARGIN + 1.5 / max(1, beyond):
        return best
    return "cp1252" if western > -math.inf else "latin-1"


def _chance(sample: bytes, name: str) -> float:
    """The mean logarithm of the chances of the letters beyond ASCII, in the language that fits best."""
    try:
        text = sample.decode(name)
    except UnicodeDecodeError:
        return -math.inf
    found = Counter((c[1], _is_odd(c)) for c in islice(_BEYOND.finditer(text), LOOKED_AT))
    if not found:
        return 0.0
    total = found.total()
    return max(
        sum(count * _log_chance(*letter, language) for letter, count in found.items()) / total
        for language in _LANGUAGES[name]
    )


def _is_odd(found: re.Match[str]) -> bool:
    """Whether a letter stands where none would: by itself, or as a capital within a word."""
    text, place = found.string, found.start()
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    return not (before.isalpha() or after.isalpha()) or (found[1].isupper() and before.islower())


def _log_chance(character: str, odd: bool, language: str) -> float:
    place = language.find(character.lower()[:1])
    if place >= 0 and not odd:
        return math.log(0.9 / (place + 2) / math.log(len(language) + 2))
    if character in _SIGNS:
        return math.log(0.02)
    return math.log(0.003 if character.isalpha() else 0.0003)


def stands_alone(sample: bytes) -> bool:
    """Whether most runs of bytes beyond ASCII touch no Latin letter: they are another script's words."""
    runs = list(islice(_RUNS.finditer(sample), LOOKED_AT))
    touching = sum(bool(found[1] or found[2]) for found in runs)
    return touching * 3 < len(runs)
