"""JSON in the layout of promptfoo's results, version 3, so that its `import` and `view` read a run.

A prompt of promptfoo is a column of its table: here a contestant with one prompt version. A test is a row of the
dataset with one sample. A cost that is not known is left out; promptfoo would show 0 as free.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from assay.domain.contestant import Prompt
from assay.exports.record import CellFact, RunRecord, exact_usd, utc_text
from assay.exports.scoreboard import ContestantScore
from assay.exports.streams import json_line, write_pieces
from assay.money import from_pico

VERSION = 3
NO_FAILURE, ASSERTION, ERROR = 0, 1, 2
"""promptfoo's reasons of a failure."""
NOT_SCORED = "No grader scored this answer."


def write(record: RunRecord, target: BinaryIO) -> None:
    """Writes one JSON object; the results go out one by one."""
    write_pieces(target, _pieces(record))


def _pieces(record: RunRecord) -> Iterator[str]:
    lines = record.grid_lines
    place_of = {(line.prompt, line.contestant): n for n, line in enumerate(lines)}
    when = utc_text(record.created_ms)
    yield f'{{"evalId": {_json(f"assay-{record.id}")}, "results": {{"version": {VERSION}, "timestamp": {_json(when)},\n'
    yield '"results": [\n'
    totals: Counter[str] = Counter()
    seen: dict[int, Counter[str]] = {n: Counter() for n in range(len(lines))}
    for number, cell in enumerate(record.cells()):
        place = place_of[cell.prompt, cell.contestant]
        kind = {"error": "errors", "fail": "failures"}.get(cell.mark, "successes")
        totals[kind] += 1
        _count(seen[place], cell, kind)
        yield (",\n" if number else "") + _json(_result(record, cell, lines[place], place))
    prompts = [_prompt(record, line, seen[n]) for n, line in enumerate(lines)]
    yield f'\n],\n"prompts": {_json(prompts)},\n'
    duration = sum(count["latency"] for count in seen.values())
    stats = {
        "successes": totals["successes"],
        "failures": totals["failures"],
        "errors": totals["errors"],
        "tokenUsage": _tokens(sum((count for count in seen.values()), Counter())),
        "durationMs": duration,
    }
    yield f'"stats": {_json(stats)}}},\n'
    yield _json(_rest(record))[1:]
    yield "\n"


def _rest(record: RunRecord) -> dict[str, Any]:
    models = dict.fromkeys(contestant.model_id for contestant in record.plan.contestants)
    config = {
        "description": record.name,
        "prompts": [_raw(prompt) for prompt in record.plan.prompts],
        "providers": [f"openrouter:{model}" for model in models],
        "tests": [],
    }
    metadata = {
        "exportedAt": utc_text(record.finished_ms or record.created_ms),
        "evaluationCreatedAt": utc_text(record.created_ms),
        "assayRun": record.id,
        "assayGateway": record.gateway,
        "assayDataset": record.dataset_hash,
        "assayVersions": dict(record.versions),
        "assayVerdict": record.verdict,
    }
    return {
        "config": config,
        "shareableUrl": None,
        "metadata": metadata,
        "vars": list(record.columns),
        "runtimeOptions": {},
    }


def _count(count: Counter[str], cell: CellFact, kind: str) -> None:
    count[kind] += 1
    count["latency"] += round(cell.total_ms or 0)
    count["prompt"] += cell.prompt_tokens or 0
    count["completion"] += cell.completion_tokens or 0
    count["requests"] += len(cell.calls)
    for score in cell.scores:
        if score.passed is not None:
            count["assertPass" if score.passed else "assertFail"] += 1


def _tokens(count: Counter[str]) -> dict[str, int]:
    return {
        "total": count["prompt"] + count["completion"],
        "prompt": count["prompt"],
        "completion": count["completion"],
        "cached": 0,
        "numRequests": count["requests"],
    }


def _prompt(record: RunRecord, line: ContestantScore, count: Counter[str]) -> dict[str, Any]:
    prompt = record.plan.prompts[line.prompt]
    metrics: dict[str, Any] = {
        "score": (line.score.value if line.score else 0) * line.scored,
        "testPassCount": count["successes"],
        "testFailCount": count["failures"],
        "testErrorCount": count["errors"],
        "assertPassCount": count["assertPass"],
        "assertFailCount": count["assertFail"],
        "totalLatencyMs": count["latency"],
        "tokenUsage": _tokens(count),
        "namedScores": {},
        "namedScoresCount": {},
    }
    if line.cost_pico is not None:
        metrics["cost"] = _dollars(line.cost_pico)
    return {
        "id": f"{prompt.key}-{line.contestant}",
        "raw": _raw(prompt),
        "label": prompt.name or _raw(prompt),
        "provider": _provider(record, line),
        "metrics": metrics,
    }


def _provider(record: RunRecord, line: ContestantScore) -> str:
    """The contestant's name: the prompt has a label of its own in promptfoo."""
    return record.plan.names[line.contestant]


def _raw(prompt: Prompt) -> str:
    """A prompt as promptfoo holds one: plain text, or messages as JSON."""
    if prompt.messages:
        return json.dumps([message.as_json() for message in prompt.messages], ensure_ascii=False)
    if prompt.system:
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        return json.dumps(messages, ensure_ascii=False)
    return prompt.user


def _result(record: RunRecord, cell: CellFact, line: ContestantScore, place: int) -> dict[str, Any]:
    prompt = record.plan.prompts[cell.prompt]
    contestant = record.plan.contestants[cell.contestant]
    values = dict(zip(record.columns, cell.values, strict=True))
    failed = cell.mark in ("error", "fail")
    usage = {
        "total": (cell.prompt_tokens or 0) + (cell.completion_tokens or 0),
        "prompt": cell.prompt_tokens or 0,
        "completion": cell.completion_tokens or 0,
    }
    response: dict[str, Any] = {"output": cell.output, "cached": cell.cached, "tokenUsage": usage}
    found: dict[str, Any] = {
        "id": f"{record.id}-{cell.cell}",
        "testIdx": cell.row * record.plan.samples + cell.sample,
        "promptIdx": place,
        "promptId": f"{prompt.key}-{line.contestant}",
        "prompt": {"raw": _raw(prompt), "label": prompt.name or _raw(prompt)},
        "vars": values,
        "testCase": {"vars": values, "assert": [], "metadata": {"rowKey": cell.row_key, "sample": cell.sample + 1}},
        "provider": {"id": f"openrouter:{contestant.model_id}", "label": _provider(record, line)},
        "response": response,
        "latencyMs": round(cell.total_ms or 0),
        "namedScores": {s.grader: s.value for s in cell.scores if s.value is not None},
        "failureReason": {"error": ERROR, "fail": ASSERTION}.get(cell.mark, NO_FAILURE),
        "success": not failed,
        "score": cell.value if cell.value is not None else 0,
        "metadata": _metadata(cell),
        "gradingResult": _grading(cell),
    }
    if cell.cost_pico is not None:
        found["cost"] = response["cost"] = _dollars(cell.cost_pico)
    if cell.mark == "error":
        found["error"] = response["error"] = cell.error or cell.error_kind or "The call failed."
    elif cell.mark == "fail":
        found["error"] = _reason(cell)
    if "output" in record.hidden:
        del response["output"]
    return found


def _metadata(cell: CellFact) -> dict[str, Any]:
    """What promptfoo has no field for; amounts as exact text in USD."""
    return {
        "rowKey": cell.row_key,
        "knownUsd": exact_usd(cell.known_pico),
        "unknownCalls": cell.unknown_calls,
        "judgingUsd": exact_usd(cell.judging_pico),
        "cut": cell.cut,
        "note": cell.note,
    }


def _grading(cell: CellFact) -> dict[str, Any] | None:
    if not cell.scores:
        return None
    parts = [
        {
            "pass": s.passed is not False,
            "score": s.value if s.value is not None else 0,
            "reason": s.reason,
            "assertion": {"type": "javascript", "metric": s.grader, "value": "graded by Assay"},
        }
        for s in cell.scores
    ]
    return {
        "pass": cell.passed is not False,
        "score": cell.value if cell.value is not None else 0,
        "reason": _reason(cell),
        "namedScores": {s.grader: s.value for s in cell.scores if s.value is not None},
        "componentResults": parts,
    }


def _reason(cell: CellFact) -> str:
    if cell.value is None and cell.passed is None:
        return NOT_SCORED
    wanted = [s.reason for s in cell.scores if s.passed is False] or [s.reason for s in cell.scores]
    return " ".join(reason for reason in wanted if reason) or ("Did not pass." if cell.passed is False else "Passed.")


def _dollars(pico: int) -> float:
    """US dollars as promptfoo's own files hold them: a JSON number."""
    return float(from_pico(pico))


def _json(value: Any) -> str:
    return json_line(value).rstrip("\n")
