"""YAML as the files of promptfoo and pydantic-evals use it: values as typed, aliases within a bound, no objects."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, NamedTuple

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a build without the C library: ten times slower
    from yaml import SafeLoader  # type: ignore[assignment]

from assay.domain.json_values import Number
from assay.errors import ImportRefused

SIZE_LIMIT = 8 * 1024 * 1024
"""Characters of a file, which is read whole, and of all that it stands for."""
EXPANDED_LIMIT = 4 * SIZE_LIMIT
DEPTH_LIMIT = 100
_TRUTHS = {"true": True, "false": False}


class Yaml(NamedTuple):
    """The value of a file."""

    value: Any
    lines: dict[int, int]
    """The id of each object in it, and the line where it begins."""
    repeated: bool
    """Whether an object named a field more than once; the last value stands."""


class _Loader(SafeLoader):
    """Only JSON's own values are anything but text: `yes`, `007` and dates stay as they were typed."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the library's name

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[int, int] = {}
        self.repeated = False

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose names are texts."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        self.repeated = self.repeated or len(set(names)) < len(names)
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}

    def construct_yaml_map(self, node: yaml.MappingNode) -> Generator[dict[Any, Any]]:
        """An object whose line is remembered."""
        made: dict[Any, Any] = {}
        self.lines[id(made)] = node.start_mark.line + 1
        yield made
        made.update(self.construct_mapping(node))


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"), list("-0123456789")
)
_Loader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: _TRUTHS[node.value])
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Number(node.value))
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)


def load_yaml(text: str) -> Yaml:
    """The value of a YAML text. Raises ImportRefused with the line."""
    if len(text) > SIZE_LIMIT:
        raise ImportRefused(
            f"The YAML file is read whole, up to {SIZE_LIMIT // 2**20} MB.", cure="Save its rows as JSON Lines."
        )
    try:
        _check(text)
        loader = _Loader(text)
        try:
            return Yaml(loader.get_single_data(), loader.lines, loader.repeated)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise ImportRefused(f"Line {line:,} is not YAML: {error.problem}.", cure="Mend that line.") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ImportRefused(f"The file is not YAML: {error}.", cure="Check the file.") from error


def _check(text: str) -> None:
    """Refuses aliases by which a few lines stand for megabytes, and depths at which the parser would break."""
    sizes, anchors = [0], dict[str, int]()
    open_anchors: list[str | None] = []
    for event in yaml.parse(text, Loader=SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), open_anchors.pop()
            sizes[-1] += size
            if anchor:
                anchors[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value)
            sizes[-1] += size
            if event.anchor:
                anchors[event.anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise ImportRefused(f"Line {line:,} refers to the part of the file around it.", cure="Take it out.")
            sizes[-1] += anchors.get(event.anchor or "", 0)
        if sum(sizes) > EXPANDED_LIMIT:
            raise ImportRefused(
                f"Line {line:,} refers to other parts of the file, which together are too large.",
                cure="Write them out.",
            )
        if len(sizes) > DEPTH_LIMIT:
            raise ImportRefused(f"Line {line:,} is nested too deeply.", cure="Flatten it.")
