"""Checks that a row brings along: promptfoo's columns __expected, __expected1 ... and their small language.

A cell is `type: value` or `type(threshold): value`, with `not-` before the type to turn it round; any other text is
the expected answer itself. `{{column}}` within a value is the row's. `CHECKS` is the table of types.

The verdicts are promptfoo's; tests/interop compares them with its own. What differs, on purpose:
- code in a cell, a check that needs a judge or embeddings, and a template beyond a column's name are unscored;
- a row's value that holds `{{column}}` itself stays as it is;
- unscored is also what promptfoo ends with an error: a pattern or schema that is none, a check without its value, a
  cost that is not known;
- a row without a check is unscored, where promptfoo passes it;
- a type alone in a cell (`contains`, `cost`) is the expected answer, as a label may be one; it is a check where no
  value is needed (`is-json`);
- `latency: 500` and `cost: 0.01` bound the answer by that number, where promptfoo takes 0.75;
- `__config:__expected2:threshold` belongs to the column of that name, where promptfoo counts the filled cells;
- `ends-with`, `is-number` and `word-count` with two numbers are known here only.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from assay.errors import GraderError
from assay.scoring import structured
from assay.scoring.kinds import NO_FACTS, Facts, GraderKind, Verdict, left_out, shown, unscored, verdict
from assay.scoring.limits import LONGEST, guarded
from assay.scoring.patterns import ecmascript_of
from assay.scoring.text import TEXTS

COLUMN = "__expected"
CONFIG = "__config:"
LEVENSHTEIN_LIMIT = 20_000
"""Characters of the texts that an edit distance is measured between."""


class Assertion(NamedTuple):
    """One check as written in a cell."""

    type: str
    value: str = ""
    threshold: Decimal | None = None
    negate: bool = False
    texts: tuple[str, ...] = ()
    """The texts of a comma list."""


# -- reading a cell --------------------------------------------------------------------------------------------

BEYOND = "template"
"""Type of a check whose value holds a template that is more than the name of a column."""
TOO_LONG = "too long"
"""Type of a check whose value is too long with the row's values in it."""
CODE = ("javascript", "fn", "eval", "python", "ruby", "webhook")
"""Types that would run a program."""
RUBRICS = (
    "llm-rubric",
    "grade",
    "model-graded-closedqa",
    "model-graded-factuality",
    "factuality",
    "closedqa",
    "g-eval",
    "answer-relevance",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "agent-rubric",
    "search-rubric",
)
"""Types that ask a judge."""
UNSUPPORTED = (
    "similar",
    "classifier",
    "moderation",
    "perplexity",
    "perplexity-score",
    "bleu",
    "gleu",
    "meteor",
    "rouge-n",
    "is-sql",
    "contains-sql",
    "is-xml",
    "contains-xml",
    "is-html",
    "contains-html",
    "is-refusal",
    "guardrails",
    "pi",
    "is-valid-function-call",
    "is-valid-openai-function-call",
    "is-valid-openai-tools-call",
    "tool-call-f1",
    "f-score",
    "assert-set",
    "select-best",
    "max-score",
    "human",
)
_CELL = re.compile(r"(not-)?([a-z][a-z0-9-]*)(?:\((\d+(?:\.\d+)?)\))?(?:(:)(.*))?", re.DOTALL)
_LISTED = ("contains-all", "contains-any", "icontains-all", "icontains-any")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_VARIABLE = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")
DEFAULT_THRESHOLD = Decimal("0.75")
"""What promptfoo takes where a cell of a measuring type has none."""
_ALONE = (
    "is-json",
    "contains-json",
    "is-number",
    "is-refusal",
    "is-sql",
    "is-xml",
    "is-html",
    "contains-sql",
    "contains-xml",
    "contains-html",
    "is-valid-function-call",
    "is-valid-openai-function-call",
    "is-valid-openai-tools-call",
    "guardrails",
    "moderation",
)
"""Types that need neither value nor threshold; the others alone in a cell are plain text, as a label may be."""
_PROGRAMS = (".py", ".js", ".ts", ".mjs", ".cjs", ".rb")


def parse_assertion(cell: str) -> Assertion:
    """The check in a cell; text that names no known type is the expected answer."""
    text = cell.strip()
    if text.startswith("file://"):
        path = text.removeprefix("file://")
        return Assertion("python" if any(end in path for end in _PROGRAMS) else "file", path)
    found = _CELL.fullmatch(text)
    if found is None:
        return Assertion("equals", text)
    negated, kind, raw, mark, value = found.groups()
    known = kind in CHECKS or kind in CODE or kind in RUBRICS or kind in UNSUPPORTED
    if not known or not (mark or raw or kind in _ALONE):
        return Assertion("equals", text)
    value = (value or "").strip()
    texts = _texts(value) if kind in _LISTED else ()
    return Assertion(kind, value, _number(raw) if raw else None, bool(negated), texts)


_PART = re.compile(r'[\s,]*(?:"((?:[^"\\]|\\.|"")*)"\s*(?=,|$)|([^",\s][^,]*))', re.DOTALL)


def _texts(value: str) -> tuple[str, ...]:
    """The texts of a comma list; a quoted one may hold commas. None at all where a quote is not closed."""
    found: list[str] = []
    place = 0
    end = len(value.rstrip(" \t\r\n,"))
    while place < end:
        part = _PART.match(value, place)
        if part is None:
            return ()
        quoted, plain = part.groups()
        found.append(plain.strip() if quoted is None else re.sub(r'\\(["\\])|""', lambda m: m[1] or '"', quoted))
        place = part.end()
    return tuple(found)


def _number(text: object) -> Decimal | None:
    try:
        number = Decimal(str(text).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def row_expected(values: Mapping[str, str]) -> str | None:
    """Everything of a row that its checks need, as JSON; None: the row has no check."""
    checks = {name: cell for name, cell in values.items() if name.startswith(COLUMN) and cell.strip()}
    if not checks:
        return None
    others = {name: values[name] for name in values if name in ("__threshold", "__metric") or name.startswith(CONFIG)}
    named = {name for cell in checks.values() for name in _VARIABLE.findall(cell)}
    used = {name: values[name] for name in values if name in named}
    return json.dumps({**checks, **others, **({"vars": used} if used else {})}, ensure_ascii=False)


def _rendered(assertion: Assertion, values: Mapping[str, str]) -> Assertion:
    """The check with the row's values in it; a name that the row lacks is empty, as in promptfoo."""
    if assertion.type in (*CODE, *RUBRICS) or not _TEMPLATE.search(assertion.value):
        return assertion
    if _TEMPLATE.search(_VARIABLE.sub("", assertion.value)):
        return assertion._replace(type=BEYOND)

    longest = max((len(values.get(name, "")) for name in _VARIABLE.findall(assertion.value)), default=0)
    if assertion.value.count("{{") * longest > LONGEST:
        return Assertion(TOO_LONG, assertion.value)

    def fill(text: str) -> str:
        return _VARIABLE.sub(lambda found: values.get(found[1], ""), text)

    return assertion._replace(value=fill(assertion.value), texts=tuple(map(fill, assertion.texts)))


def _assertions(row: Mapping[str, Any]) -> list[Assertion]:
    found = []
    given = row.get("vars")
    values = given if isinstance(given, Mapping) else {}
    for name, cell in row.items():
        if not name.startswith(COLUMN):
            continue
        assertion = _rendered(parse_assertion(cell), values)
        set_apart = _number(row.get(f"{CONFIG}{name}:threshold") or row.get(_alias(name)) or "")
        found.append(assertion if set_apart is None else assertion._replace(threshold=set_apart))
    return found


def _alias(name: str) -> str:
    """__expected and __expected1 are the same column."""
    other = {COLUMN: f"{COLUMN}1", f"{COLUMN}1": COLUMN}.get(name, name)
    return f"{CONFIG}{other}:threshold"


# -- grading a row ---------------------------------------------------------------------------------------------


def row_assertions(output: str, expected: str | None, params: Mapping[str, Any], facts: Facts) -> Verdict:
    """The share of the row's checks that the answer passes; it passes with all, or with the row's threshold.

    Checks that are never scored here are left out and named; one that should be and cannot leaves the row unscored.
    """
    try:
        row = json.loads(expected or "{}")
    except ValueError:
        row = {COLUMN: expected}
    checks = _assertions(row) if isinstance(row, Mapping) else []
    if not checks:
        return left_out("This row has no check: its __expected columns are empty.")
    verdicts = [check(assertion, output, facts) for assertion in checks]
    scored = [found.value for found in verdicts if found.value is not None]
    reasons = " ".join(found.reason for found in sorted(verdicts, key=lambda found: found.passed is not False))
    metric = str(row.get("__metric") or "").strip()
    said = f"{metric}: {reasons}" if metric else reasons
    if not scored:
        return left_out(said) if all(found.left_out for found in verdicts) else unscored(said)
    if len(scored) < sum(not found.left_out for found in verdicts):
        return unscored(said)
    value = sum(scored) / len(scored)
    bound = _number(row.get("__threshold") or "")
    counts = f"{sum(found.passed is True for found in verdicts)} of {len(scored)} checks passed"
    if len(scored) < len(checks):
        counts += f", {len(checks) - len(scored)} not scored"
    if bound is not None:
        counts += f", threshold {bound}"
    passed = value == 1.0 if bound is None else Decimal(str(value)) >= bound
    return Verdict(value, passed, said if len(checks) == 1 and bound is None else f"{counts}. {said}")


def _without_facts(output: str, expected: str | None, params: Mapping[str, Any]) -> Verdict:
    return row_assertions(output, expected, params, NO_FACTS)


def check(assertion: Assertion, output: str, facts: Facts = NO_FACTS) -> Verdict:
    """The verdict of one check; one that cannot be made is unscored with the reason."""
    kind = assertion.type
    if kind in CODE:
        return left_out(f"{kind} is a program, which is never run.")
    if kind == TOO_LONG:
        return unscored(f"The check {shown(assertion.value)} is too long with the row's values in it.")
    if kind == BEYOND:
        return unscored(f"The template in {shown(assertion.value)} is more than a column's name, and is never run.")
    if kind in RUBRICS:
        return left_out(f"{kind} needs a judge: add the grader LLM judge with the rubric {shown(assertion.value)}.")
    if kind not in CHECKS:
        why = "it needs embeddings" if kind == "similar" else "there is no such check here"
        return left_out(f"{kind} is not scored: {why}.")
    if facts.no_text and kind not in OF_FACTS:
        return unscored(facts.no_text)
    found = guarded("row_assertions", output, assertion.value, lambda: CHECKS[kind](assertion, output, facts))
    if not assertion.negate or found.value is None or found.passed is None:
        return found
    return Verdict(1 - found.value, not found.passed, f"Not wanted: {found.reason}")


Check = Callable[[Assertion, str, Facts], Verdict]


def _equals(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    same = output == assertion.value
    spaces = " but for white space around it" if not same and output.strip() == assertion.value else ""
    return verdict(same, f"The answer {shown(output)} {'is' if same else 'is not'} {shown(assertion.value)}{spaces}.")


def _containing(*, listed: bool, every: bool, fold: bool) -> Check:
    def contains(assertion: Assertion, output: str, facts: Facts) -> Verdict:
        wanted = assertion.texts if listed else (assertion.value,) if assertion.value else ()
        if not wanted:
            return unscored(f"{assertion.type} has no text to look for.")
        if len(wanted) > TEXTS:
            return unscored(f"{assertion.type} has {len(wanted):,} texts; at most {TEXTS:,} are looked for.")
        # Lower case, not folded: to promptfoo ß is not ss.
        given = output.lower() if fold else output
        missing = [text for text in wanted if (text.lower() if fold else text) not in given]
        passed = not missing if every else len(missing) < len(wanted)
        if len(wanted) == 1:
            return verdict(passed, f"The answer {'holds' if passed else 'does not hold'} {shown(wanted[0])}.")
        which = f"; without {shown(', '.join(missing))}" if missing else ""
        return verdict(passed, f"The answer holds {len(wanted) - len(missing)} of {len(wanted)} texts{which}.")

    return contains


def _starts(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    if not assertion.value:
        return unscored("starts-with has no text to look for.")
    passed = output.startswith(assertion.value)
    return verdict(passed, f"The answer {'begins' if passed else 'does not begin'} with {shown(assertion.value)}.")


def _ends(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    passed = output.rstrip().endswith(assertion.value)
    return verdict(passed, f"The answer {'ends' if passed else 'does not end'} with {shown(assertion.value)}.")


def _regex(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    if not assertion.value:
        return unscored("There is no pattern.")
    found = ecmascript_of(assertion.value).search(output)
    where = "has no match" if found is None else f"matches {shown(found)}"
    return verdict(found is not None, f"The answer {where} for {shown(assertion.value)}.")


def _schema(assertion: Assertion) -> dict[str, Any]:
    """The settings of the schema check: promptfoo's schemas may be YAML, follow draft 7, and bind formats."""
    from assay.scoring import loose  # its YAML is slow to import, and few rows ask for it

    try:
        schema = loose.as_json(assertion.value)
    except ValueError as error:
        raise GraderError(f"The schema is not JSON: {error}.", cure="Paste a JSON schema.") from error
    return {"schema": schema, "draft": 7, "formats": True, "allow_fence": False}


def _is_json(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    if assertion.value:
        return structured.json_schema(output, None, _schema(assertion))
    return structured.valid_json(output, None, {"allow_fence": False})


def _contains_json(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    from assay.scoring import loose

    params, best = _schema(assertion) if assertion.value else None, "The answer holds no JSON object."
    for value, text in loose.objects(output):
        if params is None:
            return verdict(True, f"The answer holds the JSON {shown(text)}.")
        fits = structured.fits_schema(value, params)
        if fits.passed:
            return fits
        best = fits.reason
    return verdict(False, best)


def _is_number(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    passed = _number(output) is not None
    return verdict(passed, f"The answer {shown(output)} {'is' if passed else 'is not'} a number.")


def _word_count(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    bounds = [_number(part) for part in assertion.value.split(",")] if assertion.value else [assertion.threshold]
    known = [bound for bound in bounds if bound is not None]
    if len(known) != len(bounds) or len(known) > 2:
        return unscored(f"word-count needs a number or two, not {shown(assertion.value)}.")
    low, high = known[0], known[-1]
    words = len(output.split())
    wanted = f"{low}" if low == high else f"{low} to {high}"
    return verdict(low <= words <= high, f"The answer has {words} words; wanted {wanted}.")


def _levenshtein(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    from rapidfuzz.distance import Levenshtein  # slow to import, and few rows ask for it

    for name, text in (("answer", output), ("text", assertion.value)):
        if len(text) > LEVENSHTEIN_LIMIT:
            return unscored(f"The {name} has {len(text):,} characters; edits are counted to {LEVENSHTEIN_LIMIT:,}.")
    limit = DEFAULT_THRESHOLD if assertion.threshold is None else assertion.threshold
    distance = Levenshtein.distance(_units(output), _units(assertion.value))
    return verdict(distance <= limit, f"The answer is {distance} edits from {shown(assertion.value)}; allowed {limit}.")


def _units(text: str) -> array[int]:
    """The text's UTF-16 units: JavaScript counts an emoji as two."""
    return array("H", text.encode("utf-16-le", "surrogatepass"))


def _bound(assertion: Assertion) -> Decimal | None:
    return assertion.threshold if assertion.threshold is not None else _number(assertion.value)


def _latency(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    bound = _bound(assertion)
    if bound is None:
        return unscored("latency has no bound in milliseconds.")
    if facts.latency_ms is None:
        return unscored("latency is not scored: the time of this answer is not known.")
    return verdict(facts.latency_ms <= bound, f"The answer took {facts.latency_ms:.0f} ms; allowed {bound} ms.")


def _cost(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    bound = _bound(assertion)
    if bound is None:
        return unscored("cost has no bound in USD.")
    if facts.cost_usd is None:
        return unscored("cost is not scored: the cost of this answer is not known.")
    return verdict(facts.cost_usd <= bound, f"The answer cost ${facts.cost_usd:f}; allowed ${bound}.")


def _finish_reason(assertion: Assertion, output: str, facts: Facts) -> Verdict:
    if facts.finish_reason is None:
        return unscored("finish-reason is not scored: it is not known.")
    same = facts.finish_reason.lower() == assertion.value.lower()
    return verdict(same, f"The answer ended with {facts.finish_reason!r}; wanted {assertion.value!r}.")


CHECKS: dict[str, Check] = {
    "equals": _equals,
    "contains": _containing(listed=False, every=True, fold=False),
    "icontains": _containing(listed=False, every=True, fold=True),
    "contains-all": _containing(listed=True, every=True, fold=False),
    "contains-any": _containing(listed=True, every=False, fold=False),
    "icontains-all": _containing(listed=True, every=True, fold=True),
    "icontains-any": _containing(listed=True, every=False, fold=True),
    "starts-with": _starts,
    "ends-with": _ends,
    "regex": _regex,
    "is-json": _is_json,
    "contains-json": _contains_json,
    "is-number": _is_number,
    "word-count": _word_count,
    "levenshtein": _levenshtein,
    "latency": _latency,
    "cost": _cost,
    "finish-reason": _finish_reason,
}

OF_FACTS = ("latency", "cost", "finish-reason")
"""Checks that look at no text."""
ROW_ASSERTIONS = GraderKind(
    "row_assertions",
    "Checks of the row",
    "Each row's own checks, from promptfoo's __expected columns.",
    _without_facts,
    needs_expected=False,
    grade_with_facts=row_assertions,
    expected_of=row_expected,
)
