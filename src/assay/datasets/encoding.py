"""Which encoding a file is in: certain where the bytes prove it, otherwise a guess that is shown."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from assay.datasets.alphabets import LATIN, SCRIPTS, judge_of, latin, stands_alone
from assay.datasets.source import OnPart, Source
from assay.datasets.table import Finding
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
CHOICES = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "latin-1",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
    "cp1251",
    "koi8-r",
    "cp866",
    "iso8859-5",
    "iso2022_jp",
    "cp1250",
    "iso8859-2",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp874",
    "cp850",
    "mac_roman",
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, and whether the bytes prove it."""

    name: str
    certain: bool
    line: int = 0
    """The first line that is not UTF-8; 0: not looked for."""

    def findings(self) -> tuple[Finding, ...]:
        """What to say of an encoding that the bytes do not prove."""
        if self.certain:
            return ()
        message = f"The file is not UTF-8; it was read as {self.name}. Check that accents and signs look right."
        lines = (self.line,) if self.line else ()
        return (Finding("encoding", "note", 1, message, lines, cure="Change the encoding if they do not."),)


def detect(sample: bytes) -> Encoding:
    """The encoding of a file by its first bytes."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return Encoding(name, certain=True)
    if b"\x1b$B" in sample or b"\x1b$@" in sample:
        return Encoding("iso2022_jp", certain=False)
    if wide := _without_mark(sample):
        return Encoding(wide, certain=False)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return Encoding(_legacy(sample), certain=False)
    return Encoding("utf-8", certain=True)


def _without_mark(sample: bytes) -> str | None:
    """UTF-16 without a mark: one byte of every two is nearly always NUL, or the same few."""
    head = sample[: min(len(sample), 4000) // 2 * 2]
    if len(head) < 8:
        return None
    even, odd = head[0::2].count(0) / (len(head) / 2), head[1::2].count(0) / (len(head) / 2)
    if odd > 0.4 and even < 0.1:
        return "utf-16-le"
    if even > 0.4 and odd < 0.1:
        return "utf-16-be"
    # Other scripts: line ends and delimiters are still whole characters with a NUL.
    for name, marks in (
        ("utf-16-le", (b"\n\x00", b",\x00", b";\x00", b"\t\x00")),
        ("utf-16-be", (b"\x00\n", b"\x00,", b"\x00;", b"\x00\t")),
    ):
        found = sum(head[place : place + 2] in marks for place in range(0, len(head), 2))
        if found >= 3 and found > len(head) / 2 * 0.02 and 0 in head and not _has_control(head.decode(name, "replace")):
            return name
    return None


def _has_control(text: str) -> bool:
    return any((c < " " and c not in "\t\r\n") or "\ud800" <= c <= "\udfff" or c == "\ufffd" for c in text)


# -- encodings of one script -----------------------------------------------------------------------------------

_ADJACENT = re.compile(rb"[\x80-\xff]{2,}")


def _legacy(sample: bytes) -> str:
    """The encoding whose own characters and letter cases the bytes fit best; else Windows-1252 or Latin-1."""
    high = sum(byte > 127 for byte in sample)
    together = sum(map(len, _ADJACENT.findall(sample))) / max(1, high)
    if together > 0.5:
        alone = stands_alone(sample)
        scores = {
            name: score
            for name, judge in _SCRIPTS.items()
            if (alone or name not in SCRIPTS) and (score := _score(sample, name, judge)) > 0.6
        }
        if scores:
            return max(scores, key=scores.__getitem__)
    elif (name := "shift_jis") and _score(sample, name, _is_japanese) > 0.7:
        return name
    return latin(sample)


def _score(sample: bytes, name: str, judge: Callable[[str], float]) -> float:
    """0..1 how well the text that an encoding makes of the bytes looks like its language; 0: it does not decode."""
    try:
        text = codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeDecodeError:
        return 0.0
    high = "".join(c for c in text if ord(c) > 127)
    return judge(high) if len(high) >= 2 else 0.0


def _share(text: str, pattern: str) -> float:
    return len(re.findall(pattern, text)) / max(1, len(text))


def _is_japanese(text: str) -> float:
    """Kana make up much of Japanese text; half-width ones are what other encodings look like."""
    kana = _share(text, "[\u3040-\u30ff\u3001\u3002\u30fc]")
    return min(1.0, _share(text, "[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]") * (0.7 + kana)) if kana > 0.15 else 0.0


def _is_korean(text: str) -> float:
    return _share(text, "[\uac00-\ud7a3\u3000-\u303f\uff01-\uff5e]")


def _common_in(name: str, first: int, last: int) -> Callable[[str], float]:
    """Chinese: the share of characters in the range of first bytes that an encoding gives to the common ones."""

    def judge(text: str) -> float:
        packed = [c.encode(name) for c in text]
        common = sum(len(p) == 2 and (first <= p[0] <= last or p[0] in (0xA1, 0xA3)) for p in packed)
        return 0.98 * common / len(packed)

    return judge


_SCRIPTS: dict[str, Callable[[str], float]] = {
    "shift_jis": _is_japanese,
    "euc_jp": _is_japanese,
    "euc_kr": _is_korean,
    "gb18030": _common_in("gb18030", 0xB0, 0xD7),
    "big5": _common_in("big5", 0xA4, 0xC6),
    **{name: judge_of(script) for name, script in SCRIPTS.items()},
}
"""Encodings whose characters stand side by side, and how to tell that a text is in one."""


# -- files -----------------------------------------------------------------------------------------------------


def chosen_encoding(source: Source, given: str | None, on_part: OnPart | None = None) -> Encoding:
    """The given encoding, or the one that is found. Raises ImportRefused when there is none of that name."""
    found = Encoding(given, certain=True) if given else detect_file(source, on_part)
    try:
        name = codecs.lookup(found.name).name
        b"".decode(found.name)
    except (LookupError, UnicodeError) as error:
        cure = f"Choose one of {', '.join(CHOICES)}."
        raise ImportRefused(f"{found.name!r} is not an encoding.", cure=cure) from error
    if name == "utf-8" and source.head(3) == codecs.BOM_UTF8:
        return replace(found, name="utf-8-sig")
    return found


_GUESSED = frozenset(("utf-8", "latin-1", *LATIN, "cp1251", "cp1253", "iso8859-7", "cp1255", "cp1256"))
"""Encodings in which no two letters look like a character of UTF-8, so that one is told from a broken UTF-8."""


def detect_file(source: Source, on_part: OnPart | None = None) -> Encoding:
    """The encoding of a file: by its first bytes, and where these are UTF-8, by the rest too.

    Raises ImportRefused for a file that is UTF-8 but for some bytes.
    """
    with source.opened(on_part) as file:
        sample = file.read(SAMPLE)
        found = detect(sample)
        if found.name not in _GUESSED:
            return found
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk, line, beyond_ascii = sample, 1, False
        while True:
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                line += before.count(b"\n")
                if beyond_ascii or not before.isascii():
                    byte = error.object[error.start]
                    raise ImportRefused(
                        f"Line {line:,} is not utf-8, as the lines before it are: byte {byte:#04x}.",
                        cure="Mend that line, or choose the encoding that fits the whole file.",
                    ) from error
                if found.name == "utf-8":
                    # What stands around the byte tells more than the file's beginning, which was plain.
                    around = error.object[max(0, error.start - 1000) : error.start + SAMPLE]
                    found = Encoding(_legacy(_whole_lines(around)), certain=False)
                return replace(found, line=line)
            if not chunk:
                return found
            line += text.count("\n")
            beyond_ascii = beyond_ascii or not text.isascii()
            chunk = file.read(CHUNK)


def _whole_lines(sample: bytes) -> bytes:
    """The sample from its first line's end, so that no character of several bytes is cut."""
    place = sample.find(b"\n")
    end = sample.rfind(b"\n")
    return sample[place + 1 : end] if 0 <= place < end and any(b > 127 for b in sample[place + 1 : end]) else sample


@contextmanager
def opened_text(source: Source, encoding: str, on_part: OnPart | None = None) -> Iterator[io.TextIOWrapper]:
    """The text of a file, its line ends as they are. Raises ImportRefused naming the line that does not fit."""
    with source.opened(on_part) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        try:
            yield text
        except UnicodeError as error:
            raise _undecodable(source, encoding, error) from error


def _undecodable(source: Source, encoding: str, error: UnicodeError) -> ImportRefused:
    """Says the line, by reading up to it once more."""
    line, byte = 1, error.object[error.start] if isinstance(error, UnicodeDecodeError) else 0
    decoder = codecs.getincrementaldecoder(encoding)()
    with source.opened() as file:
        try:
            while chunk := file.read(CHUNK):
                line += decoder.decode(chunk).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as found:
            line += found.object[: found.start].decode(encoding, "ignore").count("\n")
            byte = found.object[found.start]
        except UnicodeError:
            pass
    others = ", ".join(choice for choice in CHOICES if choice != encoding)
    return ImportRefused(
        f"Line {line} is not {encoding}: byte {byte:#04x}.", cure=f"Choose another encoding: {others}."
    )
