"""What every export is made from: one run with its scores, comparisons, spend and cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from assay import money
from assay.domain.contestant import Contestant, numbered
from assay.domain.plan import RunPlan
from assay.domain.score import Score
from assay.exports.scoreboard import ContestantScore
from assay.stats.values import Decision


@dataclass(frozen=True, slots=True)
class CallFact:
    """One paid request of a cell: an attempt at the answer, or a judge's."""

    id: str
    created_ms: int
    purpose: str
    """run or judge."""
    attempt: int
    model: str
    answered_by: str | None
    provider: str | None
    generation_id: str | None
    outcome: str | None
    error_kind: str | None
    http_status: int | None
    cost_pico: int | None
    provenance: str
    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cached_tokens: int | None
    first_token_ms: float | None
    total_ms: float | None
    finish_reason: str | None
    is_byok: bool | None = None
    upstream_pico: int | None = None
    """The part of the cost that the provider charges to one's own key; None without one."""


@dataclass(frozen=True, slots=True)
class CellFact:
    """One cell with its full texts, scores and calls."""

    cell: int
    row: int
    row_key: str
    values: tuple[str, ...]
    """The row's values, in the order of the record's columns."""
    prompt: int
    contestant: int
    sample: int
    status: str
    """ok or failed."""
    error_kind: str | None
    output: str
    reasoning: str
    error: str
    cached: bool
    value: float | None
    passed: bool | None
    cost_pico: int | None
    """Of the contestant's own calls, every attempt; None when any is unknown. Its judges' calls stand apart."""
    first_token_ms: float | None
    total_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    finished_ms: int
    call_id: str | None
    """The call that gave the answer; None for a cached one."""
    scores: tuple[Score, ...] = ()
    calls: tuple[CallFact, ...] = ()
    """Oldest first."""
    known_pico: int = 0
    """The known costs of the contestant's own calls."""
    unknown_calls: int = 0
    unknown_bound_pico: int = 0
    """The most that the unknown ones cost, where a bound is known."""
    judging_pico: int = 0
    """The known costs of its judges' calls."""
    judging_unknown: int = 0
    judging_bound_pico: int = 0
    cut: bool = False
    """Whether the answer ended at its `max_tokens`."""
    note: str = ""
    """What a reader must know beside the output, in sentences; empty for an ordinary answer."""

    @property
    def answer_call(self) -> CallFact | None:
        """The call that gave the answer."""
        return next((call for call in self.calls if call.id == self.call_id), None)

    @property
    def mark(self) -> str:
        """The verdict in a word: error, pass, fail, or nothing where no grader gave one."""
        if self.status != "ok":
            return "error"
        return {True: "pass", False: "fail", None: ""}[self.passed]


class RowFact(NamedTuple):
    """One row of the dataset."""

    row: int
    key: str
    values: tuple[str, ...]
    """In the order of the record's columns."""


@dataclass(frozen=True, slots=True)
class SpendLine:
    """Calls of one contestant and purpose whose cost is known from the same source."""

    contestant: str
    purpose: str
    provenance: str
    calls: int
    known_pico: int
    unknown_calls: int
    unknown_bound_pico: int
    upstream_pico: int = 0
    """The part of the known costs that providers charge to one's own keys."""


@dataclass(frozen=True, slots=True)
class GateFact:
    """One condition that the run was to meet."""

    about: str
    """A contestant, or the run."""
    passed: bool
    words: str
    """What was measured and the bound."""
    undecided: bool = False
    """Whether more rows are needed to tell."""

    @property
    def mark(self) -> str:
        """The verdict in a word."""
        return "undecided" if self.undecided else "pass" if self.passed else "fail"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as an export sees it; `cells` starts a fresh pass over the cells, rows in order, each time it is called."""

    id: str
    name: str
    state: str
    reason: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    gateway: str
    tags: tuple[str, ...]
    dataset: str
    dataset_version: int
    dataset_hash: str
    columns: tuple[str, ...]
    plan: RunPlan
    done: int
    board: tuple[ContestantScore, ...]
    """In the order of the decision: best score first, the left out last."""
    verdict: str
    """The sentences of the decision."""
    spend: tuple[SpendLine, ...]
    cells: Callable[[], Iterator[CellFact]]
    decision: Decision | None = None
    """What the verdict says, with method, family and margin."""
    versions: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    """Columns that the export leaves out."""
    estimate: str = ""
    """What the estimate said and what came of it, in words; empty: there was none."""
    changes: tuple[str, ...] = ()
    """What was added to the run after its start, oldest first, in words."""
    gates: tuple[GateFact, ...] = ()
    """Verdicts of the gates that the run keeps; empty also while the run is not complete."""
    rows: Callable[[], Iterator[RowFact]] = lambda: iter(())
    """Starts a pass over the rows that the run asks, in order, answered or not."""
    other_calls: Callable[[], Iterator[tuple[int | None, CallFact]]] = lambda: iter(())
    """Starts a pass over the calls that left no result, each with its cell where it had one."""
    kept: Callable[[], Iterator[dict[str, Any]]] = lambda: iter(())
    """Starts a pass over everything that the store keeps of the run (store/archives.py)."""

    @property
    def compared(self) -> tuple[ContestantScore, ...]:
        """The lines that are compared with the first leader."""
        return tuple(line for line in self.board if line.to_leader is not None)

    @property
    def line_of(self) -> dict[tuple[int, int], ContestantScore]:
        """The scoreboard's lines by (prompt, contestant)."""
        return {(line.prompt, line.contestant): line for line in self.board}

    @property
    def grid_lines(self) -> tuple[ContestantScore, ...]:
        """The scoreboard's lines in the order of the plan."""
        return tuple(sorted(self.board, key=lambda line: (line.prompt, line.contestant)))

    @property
    def graders(self) -> tuple[str, ...]:
        """Names of the graders, no two alike."""
        return unique([spec.label for spec in self.plan.graders])

    @property
    def is_sandbox(self) -> bool:
        """Whether answers are simulated and prices invented."""
        return self.gateway == "sandbox"

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Names of the dataset's columns in tables, apart from the tables' own names."""
        return unique([f"row.{name}" if name in OWN_NAMES else name for name in self.columns])

    def visible(self, names: Iterable[str]) -> list[str]:
        """The names without those that are left out."""
        return [name for name in names if name not in self.hidden]


OWN_NAMES = frozenset(
    {
        "run",
        "kind",
        "row_key",
        "prompt",
        "model",
        "settings",
        "contestant",
        "sample",
        "cell",
        "status",
        "cached",
        "output",
        "reasoning",
        "error",
        "call",
        "purpose",
        "attempt",
        "answered_by",
        "provider",
        "generation_id",
        "sent_at",
        "outcome",
        "error_kind",
        "http_status",
        "finish_reason",
        "cost_usd",
        "provenance",
        "prompt_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "cached_tokens",
        "first_token_ms",
        "total_ms",
        "grader",
        "score",
        "passed",
        "reason",
        "known_usd",
        "unknown_calls",
        "unknown_at_most_usd",
        "judging_usd",
        "judging_unknown_calls",
        "cut",
        "note",
        "is_byok",
        "upstream_usd",
    }
)
"""Columns that tables have of their own."""


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, a repeated one followed by (2), (3) and so on."""
    return numbered(names)


def prompt_name(plan: RunPlan, prompt: int) -> str:
    """The name of a prompt version; its number from 1 where it has none."""
    return plan.prompts[prompt].name or f"prompt {prompt + 1}"


def settings_text(contestant: Contestant) -> str:
    """Parameters and routing of a contestant in one line; empty where nothing was set."""
    parts = [f"{name}={value}" for name, value in contestant.params.items()]
    parts += [f"route {name}={value}" for name, value in contestant.provider.items()]
    return ", ".join(parts)


def exact_usd(pico: int | None) -> str:
    """US dollars without rounding and without an exponent; None is "unknown"."""
    return "unknown" if pico is None else money.exact_usd(pico)


def usd_cell(pico: int | None) -> str:
    """US dollars as `exact_usd` writes them; None is empty, so that a table's column holds numbers only."""
    return "" if pico is None else exact_usd(pico)


def ms_cell(ms: float | None) -> float | None:
    """A time to the tenth of a millisecond: the rest is noise of the clock."""
    return None if ms is None else round(ms, 1)


def known_from(cell: CellFact) -> str:
    """Where the cost of a cell is known from; several sources of its own calls are all named."""
    if cell.cached:
        return "cached"
    return " + ".join(sorted({call.provenance for call in cell.calls if call.purpose != "judge"}))


MONEY = ("cost_usd", "known_usd", "unknown_calls", "unknown_at_most_usd", "judging_usd", "judging_unknown_calls")
"""Columns of a cell's cost; the sums of known_usd and judging_usd are what the ledger knows."""


def money_cells(cell: CellFact) -> list[object]:
    """The values of MONEY."""
    return [
        usd_cell(cell.cost_pico),
        usd_cell(cell.known_pico),
        cell.unknown_calls,
        usd_cell(cell.unknown_bound_pico),
        usd_cell(cell.judging_pico),
        cell.judging_unknown,
    ]


def utc_text(ms: int | None) -> str:
    """A time as ISO 8601 in UTC, to the second; None is empty."""
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
