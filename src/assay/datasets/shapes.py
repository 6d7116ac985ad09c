"""Rows as other tools write them, flattened into plain columns: inputs, expected, metadata.* (PEERS E2, E3).

A shape is recognised only when every row has it. `SHAPES` is the table of them, the most particular first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from assay.datasets.table import COLUMN_LIMIT, Finding
from assay.datasets.values import as_text, loads
from assay.errors import ImportRefused

Row = Mapping[str, Any]
Flat = dict[str, Any]

ROW_LISTS = ("cases", "tests", "requests", "data", "rows", "examples", "items", "samples", "goldens")
"""Names under which a JSON file that holds several lists keeps its rows."""
CURE = "Under how the file is read, choose rows as they are if this is wrong."
CHECKS = "__expected"
"""promptfoo's columns of checks begin so."""
_DEEPEVAL = {
    "actual_output", "retrieval_context", "tools_called", "expected_tools", "additional_metadata", "source_file",
    "comments", "token_cost",
}  # fmt: skip
_LANGFUSE = {"expectedOutput", "sourceTraceId", "source_trace_id", "sourceObservationId", "datasetId", "dataset_id"}


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


class Layout(NamedTuple):
    """How the rows of a file become plain columns."""

    keys: tuple[str, ...]
    """The fields of all rows, in the order first met."""
    shape: Shape | None
    findings: tuple[Finding, ...]

    def flat(self, row: Row) -> Row:
        """A row by the fields."""
        return self.shape.flatten(row) if self.shape is not None else row


class Survey:
    """What the rows of a file have in common, found out row by row; what is kept does not grow with them."""

    def __init__(self, *, shaped: bool = True) -> None:
        self.count = 0
        self._names: dict[str, None] = {}
        self._fitting: list[tuple[Shape, dict[str, None]]] = [(shape, {}) for shape in SHAPES] if shaped else []
        self._first: Row = {}

    def add(self, row: Row) -> None:
        """Takes in a row. Raises ImportRefused: the rows have too many fields."""
        self.count += 1
        self._names.update(dict.fromkeys(row))
        if self._fitting:
            self._fitting = [(shape, fields) for shape, fields in self._fitting if shape.fits(row)]
            for shape, fields in self._fitting:
                fields.update(dict.fromkeys(shape.flatten(row)))
        if self.count == 1:
            self._first = row
        if len(self._names) > COLUMN_LIMIT:
            raise ImportRefused(
                f"The first {self.count:,} rows have more than {COLUMN_LIMIT:,} different fields.",
                cure="Give the rows the same fields; names that are values belong into a field of their own.",
            )

    def layout(self) -> Layout:
        """The columns of all rows seen, and the shape that every one of them has."""
        names = set(self._names)
        for shape, fields in self._fitting:
            if shape.marks(names):
                message = f"{shape.name} rows: {shape.says(self._first)}."
                return Layout(tuple(fields), shape, (_finding(self.count, message),))
        return Layout(tuple(self._names), None, ())


def is_row(value: Row) -> bool:
    """Whether an object is itself a row of a known shape."""
    survey = Survey()
    survey.add(value)
    return survey.layout().shape is not None


def _finding(count: int, message: str) -> Finding:
    return Finding("shape", "note", count, message, cure=CURE)


# -- tables ----------------------------------------------------------------------------------------------------

WRAPPING = ("vars", "item", "sample", "inputs", "outputs", "reference_outputs", "metadata", "messages", "ideal")
"""Columns of a CSV whose cells may hold an object or a list as JSON."""


def wraps_objects(columns: Sequence[str]) -> bool:
    """Whether the columns of a CSV may hold another tool's objects."""
    return bool({"vars", "item", "inputs"} & set(columns)) and not any(name.startswith("__") for name in columns)


def decoded_row(columns: Sequence[str], cells: Sequence[str]) -> Row:
    """A row of a CSV whose cells may hold objects."""
    return {name: _decoded(name, cell) for name, cell in zip(columns, cells, strict=True)}


def holds_object(row: Row) -> bool:
    """Whether a decoded row really holds one."""
    return any(isinstance(row.get(name), Mapping) for name in ("vars", "item", "inputs"))


def column_findings(columns: Sequence[str], count: int) -> list[Finding]:
    """promptfoo's own columns are pointed out, and names that are nearly theirs. count: rows."""
    return (
        _promptfoo_columns(columns, count) if any(c.startswith("__") for c in columns) else _single_underscores(columns)
    )


def _decoded(name: str, cell: str) -> Any:
    if name not in WRAPPING or not cell.lstrip().startswith(("{", "[")):
        return cell
    try:
        return loads(cell)
    except (ValueError, RecursionError):
        return cell


def _promptfoo_columns(columns: Sequence[str], count: int) -> list[Finding]:
    checks = [name for name in columns if name.startswith(CHECKS)]
    special = [name for name in columns if name.startswith("__") and name not in checks]
    parts = [f"{_listed(checks)} hold checks of the answer"] if checks else []
    if wraps := [name for name in special if name in ("__prefix", "__suffix")]:
        parts.append(f"{_listed(wraps)} stand around the prompt")
    if others := [name for name in special if name not in wraps]:
        parts.append(f"{_listed(others)} describe the row or its checks")
    return [_finding(count, f"promptfoo columns: {'; '.join(parts)}.")] if parts else []


def _single_underscores(columns: Sequence[str]) -> list[Finding]:
    """Names with one underscore where promptfoo has two."""
    wrong = [name for name in columns if name in ("_expected", "_prefix", "_suffix", "_threshold", "_metric")]
    return [
        Finding("underscore", "warning", 1, f"The column {name!r} is read as plain data.", cure=f"For promptfoo's "
                f"column, call it {'_' + name!r}.")
        for name in wrong
    ]  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# -- parts of rows ---------------------------------------------------------------------------------------------


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and "role" in m for m in value)


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
        value = value[-1].get("content")
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
        return f"`{name}` holds {_listed(list(value)[:6]) or 'nothing'}"
    return f"`{name}` is the input"


# -- the shapes ------------------------------------------------------------------------------------------------


def _promptfoo(row: Row) -> Flat:
    flat: Flat = dict(row["vars"])
    for number, entry in enumerate(row.get("assert") or (), 1):
        flat[f"{CHECKS}{number}"] = _check_text(entry)
    given_options = row.get("options")
    options: Mapping[str, Any] = given_options if isinstance(given_options, Mapping) else {}
    given = {
        "description": row.get("description"), "threshold": row.get("threshold"),
        "prefix": options.get("prefix"), "suffix": options.get("suffix"), "metric": _metric(row),
    }  # fmt: skip
    flat.update({f"__{name}": value for name, value in given.items() if value not in (None, "")})
    metadata = row.get("metadata")
    flat.update({f"__metadata:{name}": v for name, v in metadata.items()} if isinstance(metadata, Mapping) else {})
    return flat


def _metric(row: Row) -> str | None:
    """The metric that all checks of the row share; None: they share none."""
    metrics = {entry.get("metric") for entry in row.get("assert") or () if isinstance(entry, Mapping)}
    only = metrics.pop() if len(metrics) == 1 else None
    return only if isinstance(only, str) else None


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
    messages = row["messages"]
    flat: Flat = {"input": messages}
    if len(messages) > 1 and messages[-1].get("role") == "assistant":
        flat = {"input": messages[:-1], "expected": messages[-1].get("content")}
    _put_rest(flat, row, ("messages",))
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
        "promptfoo test", _holds("vars"), _ANY, _promptfoo,
        lambda row: f"{_kind_of(row, 'vars')}, `assert` became the checks in `__expected1` and on",
    ),
    Shape(
        "OpenAI batch", lambda row: "custom_id" in row and isinstance(row.get("body"), Mapping), _ANY, _openai_batch,
        lambda row: "the messages of `body` are the input, `custom_id` is the id",
    ),
    Shape("OpenAI Evals platform", _holds("item"), _ANY, _openai_item, lambda row: _kind_of(row, "item")),
    Shape("OpenAI Evals", _has("input", "ideal"), _ANY, _legacy, _says_expected("ideal")),
    Shape(
        "pydantic-evals", _has("inputs"), lambda names: bool({"expected_output", "evaluators"} & names),
        _pydantic_case, lambda row: f"{_kind_of(row, 'inputs')}, `expected_output` is the expected answer",
    ),
    Shape(
        "LangSmith or Phoenix", _holds("inputs"), _ANY, _langsmith,
        lambda row: f"{_kind_of(row, 'inputs')}, `outputs` is the expected answer",
    ),
    Shape(
        "Phoenix", _holds("input", "output"), _ANY, _phoenix,
        lambda row: f"{_kind_of(row, 'input')}, `output` is the expected answer",
    ),
    Shape("Inspect", _has("input", "target"), _ANY, _with_expected("target"), _says_expected("target")),
    Shape(
        "Langfuse", _has("input"), lambda names: "expectedOutput" in names, _with_expected("expectedOutput"),
        _says_expected("expectedOutput"),
    ),
    Shape(
        "Langfuse", _has("input"), lambda names: "expected_output" in names and bool(_LANGFUSE & names),
        _with_expected("expected_output"), _says_expected("expected_output"),
    ),
    Shape(
        "deepeval", _has("input"), lambda names: "expected_output" in names and bool(_DEEPEVAL & names),
        _with_expected("expected_output"), _says_expected("expected_output"),
    ),
    Shape(
        "Langfuse or deepeval", _has("input"), lambda names: "expected_output" in names,
        _with_expected("expected_output"), _says_expected("expected_output"),
    ),
    Shape(
        "Braintrust", _has("input"),
        lambda names: "expected" in names and bool({"metadata", "tags", "id", "_xact_id"} & names),
        _with_expected("expected"), _says_expected("expected"),
    ),
    Shape(
        "chat", lambda row: _is_conversation(row.get("messages")), _ANY, _chat,
        lambda row: "`messages` is a conversation, its last answer is the expected one",
    ),
)  # fmt: skip
