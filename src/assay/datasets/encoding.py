"""Which encoding a file is in: certain where the bytes prove it, otherwise a guess that is shown."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from assay.errors import ImportRefused

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE = 64 * 1024
CHUNK = 1024 * 1024
CHOICES = ("utf-8", "utf-16", "cp1252", "latin-1", "shift_jis", "gb18030", "cp1251")


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, and whether the bytes prove it."""

    name: str
    certain: bool


def detect(sample: bytes) -> Encoding:
    """The encoding of a file by its first bytes."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return Encoding(name, certain=True)
    if wide := _without_mark(sample):
        return Encoding(wide, certain=False)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return Encoding(_legacy(sample), certain=False)
    return Encoding("utf-8", certain=True)


def _without_mark(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Latin text is NUL."""
    head = sample[:2000]
    if len(head) < 8:
        return None
    even, odd = head[0::2].count(0) / (len(head) / 2), head[1::2].count(0) / (len(head) / 2)
    if odd > 0.4 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.1 else None


def _legacy(sample: bytes) -> str:
    """Shift-JIS where it decodes into mostly Japanese; else Windows-1252, or Latin-1 where that has no character."""
    try:
        text = codecs.getincrementaldecoder("shift_jis")().decode(sample)
        high = [c for c in text if ord(c) > 127]
        japanese = sum("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in high)
        if len(high) >= 4 and japanese / len(high) > 0.7:
            return "shift_jis"
    except UnicodeDecodeError:
        pass
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def detect_file(path: Path) -> Encoding:
    """The encoding of a file: by its first bytes, and where these are UTF-8, by the rest too."""
    with path.open("rb") as file:
        sample = file.read(SAMPLE)
        found = detect(sample)
        if found.name != "utf-8":
            return found
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk = sample
        while True:
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                return Encoding(_legacy(sample + chunk), certain=False)
            if not chunk:
                return Encoding("utf-8", certain=True)
            chunk = file.read(CHUNK)


def decode(content: bytes, name: str) -> str:
    """The text of a file. Raises ImportRefused naming the line where the encoding does not fit."""
    try:
        return content.decode(name)
    except LookupError as error:
        raise ImportRefused(f"{name!r} is not an encoding.", cure=f"Choose one of {', '.join(CHOICES)}.") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ImportRefused(
            f"Line {line} is not {name}: byte {content[error.start]:#04x}.",
            cure=f"Choose another encoding: {', '.join(c for c in CHOICES if c != name)}.",
        ) from error
