"""Rows as other tools write them, flattened into plain columns: inputs, expected, metadata.* (PEERS E2, E3).

`SHAPES` is the table of them, the most particular first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.domain.json_values import as_text

Row = Mapping[str, Any]
Flat = dict[str, Any]

UNSAID = "assert"
"""Column that keeps checks with more than their text can say."""
CHECKS = "__expected"
"""promptfoo's columns of checks begin so."""
DEEPEVAL = {
    "actual_output",
    "retrieval_context",
    "tools_called",
    "expected_tools",
    "additional_metadata",
    "source_file",
    "comments",
    "token_cost",
}
LANGFUSE = {"expectedOutput", "sourceTraceId", "source_trace_id", "sourceObservationId", "datasetId", "dataset_id"}
CONVERSATIONS = ("messages", "conversation", "conversations", "turns", "dialogue", "chat", "prompt")
"""Fields under which rows keep a conversation."""
ALPACA = frozenset(("instruction", "input", "output"))
_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "system": "system",
}
"""Roles in ShareGPT's words."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one tool writes a row."""

    name: str
    fits: Callable[[Row], bool]
    """Whether a row has the fields that make the shape."""
    marks: Callable[[set[str]], bool]
    """Whether the fields of all rows together tell it from its neighbours."""
    flatten: Callable[[Row], Flat]
    says: Callable[[Row], str]
    """What the fields are, in words, for the first row."""


def listed(names: Sequence[str]) -> str:
    """Names as they are said."""
    return ", ".join(f"`{name}`" for name in names)


# -- parts of rows ---------------------------------------------------------------------------------------------


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or ("from" in value and "value" in value))


def _put(flat: Flat, given: Mapping[str, Any], prefix: str) -> None:
    """Adds entries under their own names, or under the prefix where a name is taken."""
    for name, value in given.items():
        flat[f"{prefix}.{name}" if name in flat else name] = value


def _put_metadata(flat: Flat, value: Any) -> None:
    if isinstance(value, Mapping):
        flat.update({f"metadata.{name}": inner for name, inner in value.items()})
    elif value not in (None, ""):
        flat["metadata"] = value


def _put_expected(flat: Flat, value: Any) -> None:
    """One expected value as `expected`; several named ones as `expected.<name>`."""
    if isinstance(value, Mapping):
        if len(value) != 1:
            flat.update({f"expected.{name}": inner for name, inner in value.items()})
            return
        value = next(iter(value.values()))
    if _is_conversation(value):
        value = _answer_of(_of_share_gpt(value[-1]))
    flat["expected"] = value


def _with_inputs(inputs: Mapping[str, Any], after: Flat) -> Flat:
    """The inputs under their own names, or `inputs.<name>` where a name is taken, and then the rest."""
    return {f"inputs.{name}" if name in after else name: value for name, value in inputs.items()} | after


def _put_rest(flat: Flat, row: Row, done: Sequence[str]) -> None:
    _put(flat, {name: value for name, value in row.items() if name not in done}, "row")


def _kind_of(row: Row, name: str) -> str:
    """What a field holds, in words."""
    value = row.get(name)
    if _is_conversation(value):
        return f"`{name}` is a conversation"
    if isinstance(value, Mapping):
        return f"`{name}` holds {listed(list(value)[:6]) or 'nothing'}"
    return f"`{name}` is the input"


# -- the shapes ------------------------------------------------------------------------------------------------


def promptfoo_test(row: Row) -> Flat:
    """A test of promptfoo, its checks in columns."""
    flat: Flat = dict(row["vars"])
    for number, entry in enumerate(row.get("assert") or (), 1):
        flat[f"{CHECKS}{number}"] = _check_text(entry)
    given_options = row.get("options")
    options: Mapping[str, Any] = given_options if isinstance(given_options, Mapping) else {}
    given = {
        "description": row.get("description"),
        "threshold": row.get("threshold"),
        "prefix": options.get("prefix"),
        "suffix": options.get("suffix"),
        "metric": _metric(row),
    }
    flat.update({f"__{name}": value for name, value in given.items() if value not in (None, "")})
    metadata = row.get("metadata")
    flat.update({f"__metadata:{name}": v for name, v in metadata.items()} if isinstance(metadata, Mapping) else {})
    if not all(map(_is_sayable, row.get("assert") or ())) or (_metric(row) is None and _metrics(row)):
        flat[UNSAID] = row["assert"]
    flat.update({f"options.{name}": value for name, value in options.items() if name not in ("prefix", "suffix")})
    _put_rest(flat, row, ("vars", "assert", "description", "threshold", "options", "metadata"))
    return flat


def _is_sayable(entry: Any) -> bool:
    """Whether an assertion is no more than its text in a cell."""
    if not isinstance(entry, Mapping):
        return True
    return set(entry) <= {"type", "value", "threshold", "metric"} and entry.get("type") != "assert-set"


def _metric(row: Row) -> str | None:
    """The metric that all checks of the row share; None: they share none."""
    metrics = [entry.get("metric") for entry in row.get("assert") or () if isinstance(entry, Mapping)]
    return metrics[0] if metrics and isinstance(metrics[0], str) and metrics.count(metrics[0]) == len(metrics) else None


def _metrics(row: Row) -> bool:
    """Whether any check has a metric."""
    return any(isinstance(entry, Mapping) and entry.get("metric") for entry in row.get("assert") or ())


def _check_text(entry: Any) -> str:
    """An assertion as the text that a CSV's cell would hold, with the defaults that only files of this kind have."""
    if not isinstance(entry, Mapping):
        return as_text(entry)
    kind, threshold, value = str(entry.get("type", "equals")), entry.get("threshold"), entry.get("value")
    base = kind.removeprefix("not-")
    if base == "levenshtein" and threshold is None:
        threshold = 5
    if base == "equals" and isinstance(value, Mapping | list):
        kind, value = kind.replace("equals", "is-json"), {"const": value}
    head = kind + (f"({as_text(threshold)})" if threshold is not None else "")
    if value is None:
        return head
    if isinstance(value, list) and base.endswith(("contains-any", "contains-all")):
        return f"{head}:{','.join(_quoted(as_text(part)) for part in value)}"
    if base == "word-count" and isinstance(value, Mapping) and {"min", "max"} <= value.keys():
        return f"{head}:{as_text(value['min'])},{as_text(value['max'])}"
    return f"{head}:{as_text(value)}"


def _quoted(text: str) -> str:
    """A text of a comma list, quoted where it must be."""
    if text and text == text.strip() and not {",", '"', "\n"} & set(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _openai_batch(row: Row) -> Flat:
    body = row["body"]
    flat: Flat = {"id": row["custom_id"], "input": body.get("messages", body.get("input", body.get("prompt")))}
    _put_metadata(flat, {n: v for n, v in body.items() if n not in ("messages", "input", "prompt")})
    return flat


def _openai_item(row: Row) -> Flat:
    flat: Flat = dict(row["item"])
    sample = row.get("sample")
    if isinstance(sample, Mapping):
        flat.update({f"sample.{name}": value for name, value in sample.items()})
    _put_rest(flat, row, ("item", "sample"))
    return flat


def _pydantic_case(row: Row) -> Flat:
    inputs, after = row.get("inputs"), Flat()
    if "expected_output" in row:
        after["expected"] = row["expected_output"]
    _put_metadata(after, row.get("metadata"))
    flat = _with_inputs(inputs if isinstance(inputs, Mapping) else {"input": inputs}, after)
    _put_rest(flat, row, ("inputs", "expected_output", "metadata"))
    return flat


def _langsmith(row: Row) -> Flat:
    after = Flat()
    for name in ("outputs", "reference_outputs"):
        if row.get(name) not in (None, {}):
            _put_expected(after, row[name])
    _put_metadata(after, row.get("metadata"))
    flat = _with_inputs(row["inputs"], after)
    _put_rest(flat, row, ("inputs", "outputs", "reference_outputs", "metadata"))
    return flat


def _phoenix(row: Row) -> Flat:
    return _langsmith(
        {
            "inputs": row["input"],
            "outputs": row.get("output"),
            **{n: v for n, v in row.items() if n not in ("input", "output")},
        }
    )


def _with_expected(name: str) -> Callable[[Row], Flat]:
    """Rows whose `input` stays one column and whose expected answer stands under the name."""

    def flatten(row: Row) -> Flat:
        flat: Flat = {"input": row["input"], "expected": row.get(name)}
        if isinstance(row.get("tags"), list):
            flat["tags"] = ", ".join(map(as_text, row["tags"]))
        for field in ("metadata", "additional_metadata"):
            _put_metadata(flat, row.get(field))
        _put_rest(flat, row, ("input", name, "metadata", "additional_metadata", "tags" if "tags" in flat else ""))
        return flat

    return flatten


def _legacy(row: Row) -> Flat:
    """Alternatives in `ideal` become texts, so that a grader takes each of them as an answer."""
    ideal = row["ideal"]
    given = {**row, "ideal": [str(as_text(part)) for part in ideal]} if isinstance(ideal, list) else row
    return _with_expected("ideal")(given)


def _chat(row: Row) -> Flat:
    name = _conversation_in(row)
    messages = [_of_share_gpt(entry) for entry in row[name]]
    answers: Any = row.get("completion")
    if name == "prompt" and _is_conversation(answers):
        messages += answers
    flat: Flat = {"input": messages}
    if len(messages) > 1 and messages[-1].get("role") == "assistant":
        flat = {"input": messages[:-1], "expected": _answer_of(messages[-1])}
    _put_rest(flat, row, (name, "completion" if name == "prompt" else ""))
    return flat


def _conversation_in(row: Row) -> str:
    """The field that holds a conversation; empty: there is none."""
    return next((name for name in CONVERSATIONS if _is_conversation(row.get(name))), "")


def _of_share_gpt(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message, ShareGPT's `from` and `value` under their usual names."""
    if "role" in entry:
        return entry
    return {"role": _SPEAKERS.get(str(entry["from"]), entry["from"]), "content": entry["value"]}


def _answer_of(message: Mapping[str, Any]) -> Any:
    """The answer in a message: its text, else the tools that it calls."""
    content = message.get("content")
    if isinstance(content, list) and all(isinstance(part, Mapping) and "text" in part for part in content):
        return "".join(as_text(part["text"]) for part in content)
    return content if content is not None else message.get("tool_calls")


def _alpaca(row: Row) -> Flat:
    """The instruction with the input below it, where there is one, as Alpaca's own template puts them."""
    instruction, given = as_text(row["instruction"]), as_text(row.get("input"))
    flat: Flat = {"prompt": f"{instruction}\n\n{given}" if given.strip() else instruction}
    _put_rest(flat, row, ("output",))
    return {**flat, "expected": row["output"]} if "expected" not in flat else {**flat, "row.output": row["output"]}


def _lm_eval(row: Row) -> Flat:
    """The prompt as it was sent stands in the first argument; the fields of `doc` are what it was made of."""
    arguments = row["arguments"]
    while isinstance(arguments, Mapping | list) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, Mapping) else arguments[0]
    flat: Flat = {"input": arguments, "expected": row["target"]}
    _put(flat, row["doc"], "doc")
    _put_rest(flat, row, ("arguments", "target", "doc"))
    return flat


def _helm(row: Row) -> Flat:
    """The right one of the references, or all that are right, is the expected answer."""
    instance = row.get("instance", row)
    references = [one for one in instance["references"] if isinstance(one, Mapping)]
    texts = [_helm_text(one.get("output")) for one in references if "correct" in (one.get("tags") or ())]
    flat: Flat = {"input": _helm_text(instance["input"]), "expected": texts[0] if len(texts) == 1 else texts or None}
    flat["references"] = [_helm_text(one.get("output")) for one in references]
    _put(flat, {name: value for name, value in instance.items() if name not in ("input", "references")}, "instance")
    if instance is not row:
        _put_rest(flat, row, ("instance",))
    return flat


def _helm_text(value: Any) -> Any:
    return value["text"] if isinstance(value, Mapping) and "text" in value else value


def _is_helm(row: Row) -> bool:
    instance = row.get("instance", row)
    given = instance.get("input") if isinstance(instance, Mapping) else None
    return isinstance(given, Mapping) and "text" in given and isinstance(instance.get("references"), list)


def _hugging_face(row: Row) -> Flat:
    flat: Flat = dict(row["row"])
    _put_rest(flat, row, ("row", "row_idx", "truncated_cells"))
    return flat


def _holds(*names: str) -> Callable[[Row], bool]:
    """Whether a row has an object under each name."""
    return lambda row: all(isinstance(row.get(name), Mapping) for name in names)


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(name in row for name in names)


def _says_expected(name: str) -> Callable[[Row], str]:
    return lambda row: f"{_kind_of(row, 'input')}, `{name}` is the expected answer"


_ANY: Callable[[set[str]], bool] = lambda names: True  # noqa: E731 - an entry of the table
SHAPES = (
    Shape(
        "promptfoo test",
        _holds("vars"),
        _ANY,
        promptfoo_test,
        lambda row: f"{_kind_of(row, 'vars')}, `assert` became the checks in `__expected1` and on",
    ),
    Shape(
        "OpenAI batch",
        lambda row: "custom_id" in row and isinstance(row.get("body"), Mapping),
        _ANY,
        _openai_batch,
        lambda row: "the messages of `body` are the input, `custom_id` is the id",
    ),
    Shape(
        "lm-evaluation-harness",
        lambda row: isinstance(row.get("doc"), Mapping) and _has("target", "arguments")(row),
        _ANY,
        _lm_eval,
        lambda row: "`input` is the prompt that was sent, `target` is the expected answer",
    ),
    Shape(
        "HELM",
        _is_helm,
        _ANY,
        _helm,
        lambda row: "the text of `input` is the input, the references that are marked correct are the expected answer",
    ),
    Shape("OpenAI Evals platform", _holds("item"), _ANY, _openai_item, lambda row: _kind_of(row, "item")),
    Shape("OpenAI Evals", _has("input", "ideal"), _ANY, _legacy, _says_expected("ideal")),
    Shape(
        "pydantic-evals",
        _has("inputs"),
        lambda names: bool({"expected_output", "evaluators"} & names),
        _pydantic_case,
        lambda row: f"{_kind_of(row, 'inputs')}, `expected_output` is the expected answer",
    ),
    Shape(
        "LangSmith or Phoenix",
        _holds("inputs"),
        _ANY,
        _langsmith,
        lambda row: f"{_kind_of(row, 'inputs')}, `outputs` is the expected answer",
    ),
    Shape(
        "Phoenix",
        _holds("input", "output"),
        _ANY,
        _phoenix,
        lambda row: f"{_kind_of(row, 'input')}, `output` is the expected answer",
    ),
    Shape("Inspect", _has("input", "target"), _ANY, _with_expected("target"), _says_expected("target")),
    Shape(
        "Langfuse",
        _has("input"),
        lambda names: "expectedOutput" in names,
        _with_expected("expectedOutput"),
        _says_expected("expectedOutput"),
    ),
    Shape(
        "Langfuse",
        _has("input"),
        lambda names: "expected_output" in names and bool(LANGFUSE & names),
        _with_expected("expected_output"),
        _says_expected("expected_output"),
    ),
    Shape(
        "deepeval",
        _has("input"),
        lambda names: "expected_output" in names and bool(DEEPEVAL & names),
        _with_expected("expected_output"),
        _says_expected("expected_output"),
    ),
    Shape(
        "Langfuse or deepeval",
        _has("input"),
        lambda names: "expected_output" in names,
        _with_expected("expected_output"),
        _says_expected("expected_output"),
    ),
    Shape(
        "Braintrust",
        _has("input"),
        lambda names: "expected" in names and bool({"metadata", "tags", "id", "_xact_id"} & names),
        _with_expected("expected"),
        _says_expected("expected"),
    ),
    Shape(
        "chat",
        lambda row: bool(_conversation_in(row)),
        _ANY,
        _chat,
        lambda row: f"`{_conversation_in(row)}` is a conversation, its last answer is the expected one",
    ),
    Shape(
        "Alpaca",
        _has("instruction", "input", "output"),
        _ANY,
        _alpaca,
        lambda row: "`prompt` is the instruction with the input below it, `output` is the expected answer",
    ),
    Shape(
        "Hugging Face",
        lambda row: isinstance(row.get("row"), Mapping) and "row_idx" in row,
        _ANY,
        _hugging_face,
        lambda row: f"{_kind_of(row, 'row')}",
    ),
)
