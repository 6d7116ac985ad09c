"""Prompt templates: `{{name}}` is replaced by the row's value, and nothing else ever happens.

One pass: a value that itself holds `{{x}}` stays text. `\\{{` is a literal `{{`. `{{ticket.subject}}` looks into a
cell that holds JSON. A prompt that is one variable, whose cell holds a list of messages, becomes that conversation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from assay.domain.contestant import Prompt
from assay.domain.json_values import as_text, loads
from assay.domain.messages import Message
from assay.errors import TemplateError
from assay.prompts.conversation import conversation, fault, is_text_part

_SLOT = re.compile(r"\\\{\{|\{\{\s*([^\s{}][^{}]*?)\s*\}\}")
_FOREIGN = re.compile(
    r"<<([^<>{}\n]+)>>|\$\{([^{}\n\"]+)\}|(?<![{\\])\{([^{}\n\"]+)\}"
    r"|\$([A-Za-z_]\w*)|\[\[([^\[\]{}\n\"]+)\]\]|%([A-Za-z_]\w*)%"
)
_PLAIN_NAME = re.compile(r"[^\W\d][\w.-]{0,60}")
WRAPPERS = ("item", "inputs", "input", "vars")
"""First parts that other tools write before a column's name: {{item.question}}, {{inputs.question}}."""


@lru_cache(maxsize=64)
def variables(text: str) -> tuple[str, ...]:
    """The names that a template uses, each once, in order; none: empty."""
    return tuple(dict.fromkeys(found.group(1) for found in _SLOT.finditer(text) if found.group(1)))


def pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """The template cut at its slots, whole: (text as written, None) or (slot as written, its variable's name)."""
    end = 0
    for found in _SLOT.finditer(text):
        if found.group(1):
            if found.start() > end:
                yield text[end : found.start()], None
            yield found.group(0), found.group(1)
            end = found.end()
    if end < len(text):
        yield text[end:], None


# -- values ----------------------------------------------------------------------------------------------------


def value_of(name: str, values: Mapping[str, str]) -> str | None:
    """The value of a variable: the column of that name, else a dotted path into a JSON cell; None: undefined."""
    if name in values:
        return values[name]
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        column = ".".join(parts[:cut])
        if column in values:
            return _at(values[column], parts[cut:])
    if parts[0] in WRAPPERS and len(parts) > 1:
        return value_of(".".join(parts[1:]), values)
    # No slot can be written with the spaces around a column's name.
    return next((value for column, value in values.items() if column.strip() == name), None)


def _at(cell: str, path: list[str]) -> str | None:
    """The value at a path of keys and indices in a cell's JSON; None: there is none."""
    try:
        value: Any = loads(cell)
    except (ValueError, RecursionError):
        return None
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return as_text(value)


def is_known(name: str, columns: Collection[str]) -> bool:
    """Whether columns can define a variable; of a dotted path only the rows can tell whether they do."""
    parts = name.split(".")
    if any(".".join(parts[:cut]) in columns for cut in range(len(parts), 0, -1)):
        return True
    if any(column.strip() == name for column in columns):
        return True
    return len(parts) > 1 and parts[0] in WRAPPERS and is_known(".".join(parts[1:]), columns)


# -- rendering -------------------------------------------------------------------------------------------------


def _resolved(names: Iterable[str], values: Mapping[str, str]) -> dict[str, str]:
    found = {name: value_of(name, values) for name in names}
    missing = tuple(name for name, value in found.items() if value is None)
    if missing:
        raise undefined(missing, values)
    return {name: value for name, value in found.items() if value is not None}


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda found: known[found.group(1)] if found.group(1) else "{{", text)


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

    The columns __prefix and __suffix (promptfoo) stand around the last user message. Raises TemplateError naming
    every undefined variable of the whole prompt.
    """
    known = _resolved(prompt_variables(prompt), values)
    if prompt.messages:
        messages = tuple(
            Message(m.role, _filled(m.content, known)) if isinstance(m.content, str) else m for m in prompt.messages
        )
    else:
        messages = _conversation_of(prompt.user, known) or (Message("user", _filled(prompt.user, known)),)
        if prompt.system.strip():
            messages = (Message("system", _filled(prompt.system, known)), *messages)
    return _wrapped(messages, values.get("__prefix", ""), values.get("__suffix", ""))


def unsendable(prompt: Prompt, values: Mapping[str, str], messages: Iterable[Message]) -> str:
    """Why a rendered prompt asks nothing, in words: it is empty, or all that the row gives it is; empty: it asks."""
    names = prompt_variables(prompt)
    if names and not any((value_of(name, values) or "").strip() for name in names):
        which = ", ".join(f"{{{{{name}}}}}" for name in names[:5])
        return f"The row has nothing to ask: {which} {'is' if len(names) == 1 else 'are'} empty."
    return "" if any(map(_says_something, messages)) else "The prompt is empty."


def _says_something(message: Message) -> bool:
    if isinstance(message.content, str):
        return bool(message.content.strip())
    return any(not is_text_part(part) or part["text"].strip() for part in message.content or ())


def _conversation_of(user: str, known: Mapping[str, str]) -> tuple[Message, ...] | None:
    """The conversation in the cell of a prompt that is one variable. Raises TemplateError: it cannot be sent."""
    only = _SLOT.fullmatch(user.strip())
    if only is None or not only.group(1):
        return None
    cell = known[only.group(1)]
    if why := fault(cell):
        raise TemplateError(
            f"The conversation in {{{{{only.group(1)}}}}} cannot be sent: {why}.", cure="Mend it in the file."
        )
    return conversation(cell)


def _wrapped(messages: tuple[Message, ...], prefix: str, suffix: str) -> tuple[Message, ...]:
    place = max((n for n, message in enumerate(messages) if message.role == "user"), default=None)
    if place is None or not (prefix or suffix):
        return messages
    message = messages[place]
    content: str | tuple[Mapping[str, Any], ...]
    if isinstance(message.content, str):
        content = prefix + message.content + suffix
    else:
        ends = [({"type": "text", "text": text},) if text else () for text in (prefix, suffix)]
        content = (*ends[0], *(message.content or ()), *ends[1])
    return (*messages[:place], Message("user", content, message.extra), *messages[place + 1 :])


def mapped(values: Mapping[str, str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The row's values with each mapped variable added under its own name."""
    return {**values, **{name: values[column] for name, column in mapping.items() if column in values}}


_STATEMENT = re.compile(r"\{%-?\s*(\w+)|\{(#)")


def statements(template: str) -> tuple[str, ...]:
    """Marks of a template language that is not run here, each once, as written: `{% if`, `{#`."""
    return tuple(dict.fromkeys(f"{{% {found[1]}" if found[1] else "{#" for found in _STATEMENT.finditer(template)))


# -- templates of other tools ----------------------------------------------------------------------------------


def detect_foreign(template: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Names in `{name}`, `$name`, `${name}`, `<<name>>`, `[[name]]` or `%name%` that are columns: another tool's."""
    known = _known(columns)
    return tuple(dict.fromkeys(_name(found) for found in _FOREIGN.finditer(template) if known(_name(found))))


def guess_foreign(template: str) -> tuple[str, ...]:
    """What look like variables of another tool where no columns are known: `{name}`, `${name}` and `<<name>>`."""
    names = (_name(found) for found in _FOREIGN.finditer(template) if not any(found.groups()[3:]))
    return tuple(dict.fromkeys(name for name in names if _PLAIN_NAME.fullmatch(name)))


def convert(template: str, columns: Iterable[str]) -> str:
    """The template with those names in double braces; everything else, JSON braces included, as it was."""
    known = _known(columns)
    return _FOREIGN.sub(
        lambda found: f"{{{{{_name(found)}}}}}" if known(_name(found)) else found.group(0),
        template,
    )


def _name(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()), "").strip()


def _known(columns: Iterable[str]) -> Callable[[str], bool]:
    names = frozenset(columns)
    return lambda name: bool(name) and is_known(name, names)
