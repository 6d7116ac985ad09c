"""Prompt templates: `{{name}}` is replaced by the row's value, and nothing else ever happens.

One pass: a value that itself holds `{{x}}` stays text. `\\{{` is a literal `{{`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from assay.domain.contestant import Prompt
from assay.domain.messages import Message
from assay.errors import TemplateError

_SLOT = re.compile(r"\\\{\{|\{\{\s*([^\s{}][^{}]*?)\s*\}\}")
_SINGLE = re.compile(r"(?<!\{)\{([A-Za-z_][\w .-]*)\}(?!\})|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)")


def variables(text: str) -> tuple[str, ...]:
    """The names that a template uses, each once, in order; none: empty."""
    return tuple(dict.fromkeys(found.group(1) for found in _SLOT.finditer(text) if found.group(1)))


def render(text: str, values: Mapping[str, str]) -> str:
    """The template with its slots filled. Raises TemplateError naming every variable that `values` lacks."""
    missing = tuple(name for name in variables(text) if name not in values)
    if missing:
        raise undefined(missing, values)
    return _SLOT.sub(lambda found: values[found.group(1)] if found.group(1) else "{{", text)


def undefined(missing: tuple[str, ...], known: Iterable[str]) -> TemplateError:
    """The error for variables that nothing defines."""
    names = ", ".join(f"{{{{{name}}}}}" for name in missing)
    have = ", ".join(known) or "none"
    return TemplateError(
        f"Undefined variable{'s' if len(missing) > 1 else ''}: {names}.",
        variables=missing,
        cure=f"Columns there are: {have}. Rename the variable or map it to a column.",
    )


def prompt_variables(prompt: Prompt) -> tuple[str, ...]:
    """The names that a prompt uses, system first."""
    texts = [message.text for message in prompt.messages] or [prompt.system, prompt.user]
    return tuple(dict.fromkeys(name for text in texts for name in variables(text)))


def render_prompt(prompt: Prompt, values: Mapping[str, str]) -> tuple[Message, ...]:
    """The messages exactly as they are sent; an empty system text is no message.

    Raises TemplateError naming every undefined variable of the whole prompt.
    """
    missing = tuple(name for name in prompt_variables(prompt) if name not in values)
    if missing:
        raise undefined(missing, values)
    if prompt.messages:
        return tuple(
            Message(m.role, render(m.content, values)) if isinstance(m.content, str) else m for m in prompt.messages
        )
    user = Message("user", render(prompt.user, values))
    return (Message("system", render(prompt.system, values)), user) if prompt.system.strip() else (user,)


def mapped(values: Mapping[str, str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The row's values with each mapped variable added under its own name."""
    return {**values, **{name: values[column] for name, column in mapping.items() if column in values}}


def convertible(text: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Names in `{name}`, `$name` or `${name}` that are columns: a template of another tool. JSON braces are none."""
    known = set(columns)
    names = (next(filter(None, found.groups()), "") for found in _SINGLE.finditer(text))
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip() in known))


def converted(text: str, columns: Iterable[str]) -> str:
    """The template with those names in double braces; everything else as it was."""
    known = set(columns)

    def replace(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()), "").strip()
        return f"{{{{{name}}}}}" if name in known else found.group(0)

    return _SINGLE.sub(replace, text)
