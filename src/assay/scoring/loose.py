"""JSON as promptfoo reads it: schemas that may be YAML, and objects within a text that may be written loosely.

Every object is read as JSON first. YAML is what promptfoo reads, so `{a: 1}` and a comma too many are objects to it.
Nothing but plain values is built, and an alias, with which a few lines make a tree without end, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from assay.errors import GraderError

LIMIT = 20_000
"""Characters that are read as YAML at once."""
STARTS = 200
"""Places in a text where an object is looked for."""
WORK = 1_000_000
"""Characters that are looked at in all, from every place."""
YAML_WORK = LIMIT
"""Of these the ones that are read as YAML."""
DEPTH = 60
"""Brackets within brackets that are read as YAML: its reader takes time with their square."""
_BRACKET = re.compile(r"[{}\[\]]")
_BRACE = re.compile(r"[{}]")
_COMMENT = re.compile(r"(?<![:\"'/])//[^\n]*")


class _Loader(yaml.SafeLoader):
    """Plain values only, and no alias."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; an alias is an error."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


# Dates stay text, as in the YAML that promptfoo reads.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loads(text: str) -> Any:
    """The value of a text in JSON, else in YAML. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError:
        return _yaml(text)


@lru_cache(128)
def as_json(text: str) -> str:
    """A text in JSON or YAML as JSON. Raises ValueError, also for values that JSON has not."""
    try:
        return json.dumps(loads(text), sort_keys=True)
    except (TypeError, RecursionError) as error:
        raise ValueError("it holds what JSON has not") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _yaml(text: str) -> Any:
    if len(text) > LIMIT:
        raise ValueError("too long")
    if _depth(text) > DEPTH:
        raise ValueError("nested too deeply")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError("neither JSON nor YAML") from error


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def objects(text: str) -> Iterator[tuple[Any, str]]:
    """The objects within a text, each with its own text, from left to right; lists are none.

    Raises GraderError where braces in a text give more to read than WORK.
    """
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    place = tried = 0
    room = _Room(WORK, YAML_WORK)
    while tried < STARTS and (place := text.find("{", place)) >= 0:
        tried += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            room.take(error.pos - place if isinstance(error, json.JSONDecodeError) else len(text) - place)
            value, end = _loose_object(text, place, room)
        if isinstance(value, dict):
            yield value, text[place:end]
        place = max(end, place + 1)


@dataclass(slots=True)
class _Room:
    """What may still be read of a text, in characters."""

    all: int
    yaml: int

    def take(self, size: int, *, yaml: bool = False) -> None:
        """Counts what is read. Raises GraderError when there is no room for it."""
        self.all -= size
        self.yaml -= size if yaml else 0
        if self.all < 0 or self.yaml < 0:
            raise GraderError("The answer holds too many braces to look for a JSON object between them.")


def _loose_object(text: str, start: int, room: _Room) -> tuple[Any, int]:
    """The object that begins at a brace, missing braces at the text's end added; (None, start): none."""
    depth, end = 0, start
    for found in _BRACE.finditer(text, start, start + LIMIT):
        depth += 1 if found[0] == "{" else -1
        end = found.start()
        if depth == 0:
            break
    if depth:
        end = min(len(text), start + LIMIT) - 1
    room.take(end + 1 - start)
    if depth and end + 1 < len(text):
        return None, start
    room.take(end + 1 - start, yaml=True)
    try:
        return _yaml(_COMMENT.sub("", text[start : end + 1]) + "}" * depth), end + 1
    except ValueError:
        return None, start
