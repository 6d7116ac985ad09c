"""YAML as the files of promptfoo and pydantic-evals use it: values as typed, no aliases, no objects."""

from __future__ import annotations

import re
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a build without the C library: ten times slower
    from yaml import SafeLoader  # type: ignore[assignment]

from assay.datasets.values import Number
from assay.errors import ImportRefused

SIZE_LIMIT = 8 * 1024 * 1024
"""Characters of a file, which is read whole."""
DEPTH_LIMIT = 100
_TRUTHS = {"true": True, "false": False}


class _Loader(SafeLoader):
    """Only JSON's own values are anything but text: `yes`, `007` and dates stay as they were typed."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the library's name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose names are texts."""
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"), list("-0123456789")
)
_Loader.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: _TRUTHS[node.value])
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Number(node.value))


def load_yaml(text: str) -> Any:
    """The value of a YAML text. Raises ImportRefused with the line."""
    if len(text) > SIZE_LIMIT:
        raise ImportRefused(
            f"The YAML file is read whole, up to {SIZE_LIMIT // 2**20} MB.", cure="Save its rows as JSON Lines."
        )
    try:
        _check(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise ImportRefused(f"Line {line:,} is not YAML: {error.problem}.", cure="Mend that line.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ImportRefused(f"The file is not YAML: {error}.", cure="Check the file.") from error


def _check(text: str) -> None:
    """Refuses aliases, by which a few lines stand for gigabytes, and depths at which the parser would break."""
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent):
            raise ImportRefused(f"Line {line:,} refers to another part of the file.", cure="Write the part out.")
        if depth > DEPTH_LIMIT:
            raise ImportRefused(f"Line {line:,} is nested too deeply.", cure="Flatten it.")
