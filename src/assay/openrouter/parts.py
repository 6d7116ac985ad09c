"""What one message, or one piece of it, says: text, reasoning, refusal, and parts that are no text (reference 4, 13).

Servers name one thing in several ways, and some send it under two names at once: then it counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from assay.openrouter.wire_values import clean

_THOUGHTS = ("reasoning", "reasoning_content", "reasoning_details", "thinking")
"""Names of a model's thinking, the first that holds text counts: OpenRouter and vLLM send two of them side by side."""
_THINKING_PARTS = frozenset({"thinking", "reasoning", "reasoning.text", "reasoning.summary"})
_TEXT_NAMES = ("text", "thinking", "reasoning", "summary", "content", "refusal")
_DEEPEST = 4
_OPENED = re.compile(r"\s*<(think|thinking|thought)>")


class Said(NamedTuple):
    """What a message or a piece of one says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    media: tuple[Mapping[str, Any], ...] = ()
    """Parts that are no text, as they came: images, audio, files."""

    @property
    def anything(self) -> bool:
        """Whether it says anything at all."""
        return bool(self.text or self.reasoning or self.refusal or self.media)


NOTHING = Said()


def said_in(message: Mapping[str, Any]) -> Said:
    """What a message, or the delta of a chunk, says; fields of another type say nothing."""
    texts, thoughts, refusals, media = [], [], [], []
    for part in _parts(message.get("content")):
        kind = part.get("type")
        if isinstance(kind, str) and kind in _THINKING_PARTS:
            thoughts.append(_text_in(part))
        elif kind == "refusal":
            refusals.append(_text_in(part))
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind is not None:
            media.append(part)
    refusals.append(_text_in(message.get("refusal")))
    thoughts.append(next((found for name in _THOUGHTS if (found := _text_in(message.get(name)))), ""))
    media += _media_beside(message)
    return Said("".join(texts), "".join(thoughts), "".join(refusals), tuple(media))


def _parts(content: object) -> Iterator[Mapping[str, Any]]:
    """The parts of a content field, which is a text, a part, or a list of both."""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict):
            yield part


def _media_beside(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    images = message.get("images")
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict):
            yield image
    if isinstance(audio := message.get("audio"), dict) and audio:
        yield {"type": "audio", "audio": audio}


def _text_in(value: object, depth: int = 0) -> str:
    """All text of a value that may be a text, a part with text, or a list of such."""
    if isinstance(value, str):
        return value
    if depth < _DEEPEST and isinstance(value, list):
        return "".join(_text_in(part, depth + 1) for part in value)
    if depth < _DEEPEST and isinstance(value, dict):
        return next((text for name in _TEXT_NAMES if (text := _text_in(value.get(name), depth + 1))), "")
    return ""


def joined_media(pieces: list[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The parts that are no text, with audio that came in pieces put together to one part."""
    audio: dict[str, Any] = {}
    for piece in pieces:
        if piece.get("type") != "audio" or not isinstance(piece.get("audio"), dict):
            continue
        for name, value in piece["audio"].items():
            if name in ("data", "transcript") and isinstance(value, str):
                audio.setdefault(name, []).append(value)
            else:
                audio[name] = value
    whole = {name: "".join(value) if isinstance(value, list) else value for name, value in audio.items()}
    others = [piece for piece in pieces if piece.get("type") != "audio"]
    return (*others, {"type": "audio", "audio": whole}) if whole else tuple(others)


def transcript_of(media: tuple[Mapping[str, Any], ...]) -> str:
    """The words of spoken parts; none: empty."""
    spoken = [part["audio"].get("transcript") for part in media if isinstance(part.get("audio"), dict)]
    return clean("".join(text for text in spoken if isinstance(text, str)))


def thinking_apart(text: str, reasoning: str) -> tuple[str, str]:
    """(text, reasoning) with the thinking that a model wrote before its answer, between tags, among the reasoning.

    A tag that is never closed opens nothing: what follows may be the answer.
    """
    opened = _OPENED.match(text)
    if opened is None:
        return text, reasoning
    thought, closed, answer = text[opened.end() :].partition(f"</{opened[1]}>")
    return (answer.lstrip(), (reasoning + thought).strip()) if closed else (text, reasoning)
