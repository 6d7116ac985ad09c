"""Safe YAML with the line of every value: plain values only, no doubled keys, no bombs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # as files of rows are read: `{label: is it?}` is text to it
except ImportError:  # a build without the C library
    from yaml import SafeLoader  # type: ignore[assignment]

from assay.errors import SuiteError

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|(?=\.))(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
"""A number as people read it: no 12:30:00, 017 or 1_000, which YAML counts as numbers too."""
Path = tuple[str | int, ...]
MAX_VALUES = 100_000
MAX_DEPTH = 40
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class LinedYaml(NamedTuple):
    """A document and where its values stand."""

    value: Any
    lines: dict[Path, int]
    """Path of keys and indices -> line, from 1; a mapping's entry stands at its key."""

    def line_of(self, path: Path) -> int:
        """The line of a value, or of what holds it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, name: str) -> LinedYaml:
    """A YAML document. name: what complaints call it. Raises SuiteError naming the line of what cannot be read."""
    try:
        yaml.reader.Reader(text)  # the C library says bytes where this says characters
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SuiteError(
            f"{name}, line {line}: the character U+{ord(text[error.position]):04X} is not read.", cure="Take it out."
        ) from error
    loader = SafeLoader(text)
    try:
        _check_depth(text, name)
        node = loader.get_single_node()
        if node is None:
            raise SuiteError(f"{name} is empty.", cure="Start from examples/suite.yaml.")
        reader = _Reader(loader, name)
        return LinedYaml(reader.read(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None and error.context_mark is not None and mark.line > text.rstrip().count("\n"):
            mark = error.context_mark  # what was never closed, not the end at which that was noticed
        where = f", line {mark.line + 1}" if mark else ""
        raise SuiteError(f"{name}{where}: this is no YAML: {error.problem or error.context}.") from error
    except RecursionError as error:
        raise SuiteError(f"{name} is nested too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"{name} is no YAML: {error}.") from error
    finally:
        loader.dispose()


def _check_depth(text: str, name: str) -> None:
    """Refuses what is nested so deeply that the C library, which has no bound, would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SuiteError(f"{name}, line {line}: the file holds too many or too deep values.", cure="Flatten it.")


class _Reader:
    """Turns nodes into values and keeps their lines; aliases count each time they are used."""

    def __init__(self, loader: SafeLoader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.lines: dict[Path, int] = {}
        self.count = 0

    def _wrong(self, line: int, message: str, cure: str = "") -> SuiteError:
        return SuiteError(f"{self.name}, line {line}: {message}", cure=cure)

    def read(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node. Raises SuiteError past the limits."""
        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self._wrong(line, "the file holds too many or too deep values (aliases count each time).")
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
            raise self._wrong(line, f"the tag {node.tag!r} is not read.", cure="Write a plain list or mapping.")
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, n)) for n, item in enumerate(node.value)]
        return self._scalar(node, line)

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        value = self.loader.construct_object(node)
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise self._wrong(line, f"{value!r} holds half a character.", cure="Write the character itself.")
        if isinstance(value, int | float) and not isinstance(value, bool) and not _NUMBER.fullmatch(node.value):
            raise self._wrong(line, f"{node.value!r} is read as the number {value}.", cure="Put it in quotes.")
        finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(value, str | int | float | None) or not finite:
            raise self._wrong(
                line, f"{node.value!r} is read as {type(value).__name__} {value}.", cure="Put it in quotes."
            )
        return value

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._wrong(line, "merge keys are not read.", cure="Write the entries out.")
            key = self.read(key_node, (*path, "a key"))
            if not isinstance(key, str):
                raise self._wrong(line, f"the key {key!r} is no text.", cure="Put it in quotes.")
            if key in seen:
                raise self._wrong(line, f"the key {key!r} stands on line {seen[key]} already.", cure="Keep one.")
            seen[key] = self.lines[*path, key] = line
            yield key, self.read(value_node, (*path, key))
