"""JSON as promptfoo reads it: schemas that may be YAML, and objects within a text that may be written loosely.

Every object is read as JSON first. YAML is what promptfoo reads, so `{a: 1}` and a comma too many are objects to it.
Nothing but plain values is built, and an alias, with which a few lines make a tree without end, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

LIMIT = 20_000
"""Characters that are read as YAML at once."""
STARTS = 200
"""Places in a text where an object is looked for."""
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


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _yaml(text: str) -> Any:
    if len(text) > LIMIT:
        raise ValueError("too long")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError("neither JSON nor YAML") from error


def objects(text: str) -> Iterator[tuple[Any, str]]:
    """The objects within a text, each with its own text, from left to right; lists are none."""
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    place = tried = 0
    while tried < STARTS and (place := text.find("{", place)) >= 0:
        tried += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            value, end = _loose_object(text, place)
        if isinstance(value, dict):
            yield value, text[place:end]
        place = max(end, place + 1)


def _loose_object(text: str, start: int) -> tuple[Any, int]:
    """The object that begins at a brace, missing braces at the text's end added; (None, start): none."""
    depth, end = 0, start
    for end in range(start, min(len(text), start + LIMIT)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    if depth and end + 1 < len(text):
        return None, start
    try:
        return _yaml(_COMMENT.sub("", text[start : end + 1]) + "}" * depth), end + 1
    except ValueError:
        return None, start
