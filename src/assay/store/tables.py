"""The tables. Times are integer milliseconds since 1970 in UTC, money is integer pico-dollars, JSON is text.

Text of any length (answers, prompts) stands apart from the metrics that lists and charts read.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, String, Table, Text, false
from sqlmodel import Field, SQLModel


def _big(*, nullable: bool = True, index: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable, index=index)


class Dataset(SQLModel, table=True):
    """One version of a dataset; never edited in place."""

    id: str = Field(primary_key=True)
    """Hex of the content hash's first 16 digits."""
    name: str
    version: int = 1
    content_hash: str = Field(index=True)
    columns_json: str = Field(sa_column=Column(Text, nullable=False))
    """JSON list of column names, in file order."""
    roles_json: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    """JSON object role -> column (expected, id, category ...)."""
    row_count: int
    source: str = ""
    """File name or example it came from."""
    findings_json: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    created_ms: int = Field(sa_column=_big(nullable=False, index=True))
    owner: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """The process that still writes its rows (store/owner.py); empty once it is whole."""


class DatasetName(SQLModel, table=True):
    """What all versions of a dataset share: tags, made splits, the data policy."""

    __tablename__ = "dataset_name"

    name: str = Field(primary_key=True)
    tags_json: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    splits_json: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    """JSON object split -> percent of the rows, in order; {}: none is made."""
    policy_json: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    """Provider routing that every call on the dataset carries (domain/data_policy.py)."""
    policy_log_json: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    """JSON list of {at_ms, policy}, oldest first."""


class DatasetRow(SQLModel, table=True):
    """One row; values are strings as typed."""

    __tablename__ = "dataset_row"
    __table_args__ = (Index("ix_dataset_row_key", "dataset_id", "row_key"),)

    dataset_id: str = Field(primary_key=True, foreign_key="dataset.id")
    position: int = Field(primary_key=True)
    row_key: str
    values_json: str = Field(sa_column=Column(Text, nullable=False))
    """JSON list of values, in the order of the dataset's columns."""
    bucket: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """0..9999 by a hash of the row key: made splits are ranges of it."""


class SavedPrompt(SQLModel, table=True):
    """One version of a prompt in the library; its text never changes."""

    __tablename__ = "saved_prompt"
    __table_args__ = (Index("ix_saved_prompt_version", "name", "version", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    version: int
    prompt_key: str = Field(index=True)
    prompt_json: str = Field(sa_column=Column(Text, nullable=False))
    note: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """Why this version exists, in the user's words."""
    archived: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=false()))
    """Kept out of the lists; the same for all versions of a name."""
    created_ms: int = Field(sa_column=_big(nullable=False))


class PromptLabel(SQLModel, table=True):
    """A label of a name of the library: it points at exactly one version."""

    __tablename__ = "prompt_label"

    name: str = Field(primary_key=True)
    label: str = Field(primary_key=True)
    version: int


class PromptEvent(SQLModel, table=True):
    """A line of the history of a name of the library."""

    __tablename__ = "prompt_event"
    __table_args__ = (Index("ix_prompt_event_name", "name", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str
    at_ms: int = Field(sa_column=_big(nullable=False))
    kind: str
    """saved, labelled, unlabelled, renamed, archived or restored."""
    version: int | None = None
    detail: str = ""
    """The label, the former name, or the note."""
    before: int | None = None
    """The version that a moved label pointed at."""


class RunPrompt(SQLModel, table=True):
    """Which prompts a run's plan holds, by their content: answers "which runs used it" without reading plans."""

    __tablename__ = "run_prompt"
    __table_args__ = (Index("ix_run_prompt_key", "prompt_key", "run_id", "position"),)

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    position: int = Field(primary_key=True)
    """Index into the plan's prompts."""
    prompt_key: str


class Comparison(SQLModel, table=True):
    """One send of the playground: a prompt to several contestants."""

    id: str = Field(primary_key=True)
    created_ms: int = Field(sa_column=_big(nullable=False, index=True))
    gateway: str
    title: str
    """First words of the rendered prompt, for the history."""
    prompt_json: str = Field(sa_column=Column(Text, nullable=False))
    variables_json: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    contestants_json: str = Field(sa_column=Column(Text, nullable=False))
    messages_json: str = Field(sa_column=Column(Text, nullable=False))
    """The messages as sent."""
    blind: bool = False
    vote: int | None = None
    """Index of the contestant voted best; -1: none of them."""


class MonthSpend(SQLModel, table=True):
    """What the workbench spent in one UTC month, kept in the same transactions as the ledger: the monthly budget."""

    __tablename__ = "month_spend"

    month: str = Field(primary_key=True)
    """YYYY-MM."""
    settled_pico: int = Field(default=0, sa_column=_big(nullable=False))
    reserved_pico: int = Field(default=0, sa_column=_big(nullable=False))


class SpendSlot(SQLModel, table=True):
    """Sums of ended calls that began in one quarter of an hour, kept in the transactions that end them."""

    __tablename__ = "spend_slot"
    __table_args__ = (Index("ix_spend_slot_run", "run_id", "slot"),)

    slot: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    """Quarter hours since 1970, UTC."""
    gateway: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    provider: str = Field(primary_key=True)
    """Empty where it was not told."""
    run_id: str = Field(primary_key=True)
    """Empty outside runs."""
    calls: int = Field(sa_column=_big(nullable=False))
    known_pico: int = Field(sa_column=_big(nullable=False))
    unknown_calls: int = Field(sa_column=_big(nullable=False))
    unknown_bound_pico: int = Field(sa_column=_big(nullable=False))
    prompt_tokens: int = Field(sa_column=_big(nullable=False))
    completion_tokens: int = Field(sa_column=_big(nullable=False))
    reasoning_tokens: int = Field(sa_column=_big(nullable=False))
    cached_tokens: int = Field(sa_column=_big(nullable=False))
    upstream_pico: int = Field(sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """The part of the known costs that providers charge to one's own keys."""


class ComparisonAnswer(SQLModel, table=True):
    """The pane of one contestant of a comparison."""

    __tablename__ = "comparison_answer"

    comparison_id: str = Field(primary_key=True, foreign_key="comparison.id")
    position: int = Field(primary_key=True)
    status: str
    """streaming, ok, failed, stopped or interrupted."""
    text: str = Field(default="", sa_column=Column(Text, nullable=False))
    reasoning: str = Field(default="", sa_column=Column(Text, nullable=False))
    error: str = ""
    """What happened and the cure; empty when nothing failed."""
    note: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """What a reader must know beside the text: that it is a refusal, was cut, or was asked for again."""
    call_id: str | None = None
    owner: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """Who asks for it, or did (store/owner.py); empty: nobody kept it."""


class Run(SQLModel, table=True):
    """One batch evaluation with its live totals."""

    id: str = Field(primary_key=True)
    name: str
    created_ms: int = Field(sa_column=_big(nullable=False, index=True))
    started_ms: int | None = Field(default=None, sa_column=_big())
    finished_ms: int | None = Field(default=None, sa_column=_big())
    worked_ms: int = Field(default=0, sa_column=_big(nullable=False))
    """Time that it was worked, pauses left out."""
    beat_ms: int = Field(default=0, sa_column=_big(nullable=False))
    """Until when `worked_ms` counts."""
    state: str = Field(default="queued", index=True)
    """queued, running, paused, stopped or done."""
    command: str = ""
    """What was last asked of a live run: pause, continue or stop; cleared by the engine when obeyed."""
    reason: str = ""
    """Why it is paused or stopped, and the cure, in words."""
    gateway: str
    gateways_json: str = Field(default="{}", sa_column=Column(Text, nullable=False, server_default="{}"))
    """JSON object: name -> address of every gateway that its models are asked at; {}: nobody kept it."""
    dataset_id: str = Field(index=True)
    plan_json: str = Field(sa_column=Column(Text, nullable=False))
    estimate_json: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    tags_json: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    cells: int
    done: int = 0
    failed: int = 0
    budget_pico: int | None = Field(default=None, sa_column=_big())
    settled_pico: int = Field(default=0, sa_column=_big(nullable=False))
    """Settled spend; a call of unknown cost counts with its bound."""
    reserved_pico: int = Field(default=0, sa_column=_big(nullable=False))
    """Bounds of the calls in flight."""
    lease_owner: str = ""
    lease_until_ms: int = Field(default=0, sa_column=_big(nullable=False))
    lease_token: int = 0
    """Fencing token: grows with every taking of the lease."""
    purpose: str = Field(default="batch", sa_column=Column(String, nullable=False, server_default="batch"))
    """What it is for, a `domain.plan.RunPurpose`."""
    parent_id: str | None = Field(default=None, index=True)
    """The run that it came from."""
    actor: str = Field(default="local", sa_column=Column(String, nullable=False, server_default="local"))
    """Who started it."""
    shared_budget_id: str | None = None
    """The budget that it shares with other runs, beside its own."""


class SharedBudgetRow(SQLModel, table=True):
    """A budget that several runs share, with its live totals."""

    __tablename__ = "shared_budget"

    id: str = Field(primary_key=True)
    name: str
    created_ms: int = Field(sa_column=_big(nullable=False))
    actor: str
    """Who made it."""
    budget_pico: int | None = Field(default=None, sa_column=_big())
    settled_pico: int = Field(default=0, sa_column=_big(nullable=False))
    """Settled spend of all of its runs, as each run counts it."""
    reserved_pico: int = Field(default=0, sa_column=_big(nullable=False))


class RunBoard(SQLModel, table=True):
    """The standing of a run that nobody works, as it was last counted (workbench/results/standing.py)."""

    __tablename__ = "run_board"

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    state: str = Field(sa_column=Column(Text, nullable=False))
    """What it was counted from: a run of another state is counted anew."""
    standing_json: str = Field(sa_column=Column(Text, nullable=False))


class RunChange(SQLModel, table=True):
    """What was added to a run after its start."""

    __tablename__ = "run_change"

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="run.id", index=True)
    at_ms: int = Field(sa_column=_big(nullable=False))
    kind: str
    """grown."""
    detail_json: str = Field(sa_column=Column(Text, nullable=False))
    """JSON object: what was added, the estimate of it, the budget, and the plan as it was before."""


class Call(SQLModel, table=True):
    """The ledger: one row per request to the gateway, retries included. The intent is durable before it is sent."""

    __table_args__ = (
        Index("ix_call_run_cell", "run_id", "cell"),
        Index("ix_call_run_money", "run_id", "contestant_key", "purpose", "cost_pico", "bound_pico", "state"),
        Index("ix_call_model", "model", "created_ms"),
        Index("ix_call_created", "created_ms"),
        Index("ix_call_run_created", "run_id", "created_ms"),
        Index("ix_call_generation", "generation_id"),
        Index("ix_call_state", "state"),
    )

    id: str = Field(primary_key=True)
    created_ms: int = Field(sa_column=_big(nullable=False))
    settled_ms: int | None = Field(default=None, sa_column=_big())
    gateway: str
    purpose: str
    """playground, run, judge or api."""
    run_id: str | None = None
    cell: int | None = None
    comparison_id: str | None = Field(default=None, index=True)
    owner: str = ""
    """The process that sent it (store/owner.py)."""
    contestant_key: str = ""
    attempt: int = 1
    """1 for the first try of this request."""
    model: str
    """The model id asked for, variant included."""
    answered_by: str | None = None
    """The model that answered."""
    provider: str | None = None
    generation_id: str | None = None
    state: str = "sent"
    """sent (possibly paid until settled), settled, or orphan (sent, its process died)."""
    outcome: str | None = None
    """ok, failed or cancelled; none until settled."""
    error_kind: str | None = None
    error: str | None = None
    http_status: int | None = None
    bound_pico: int | None = Field(default=None, sa_column=_big())
    """The most it can cost; none where a price is unknown."""
    cost_pico: int | None = Field(default=None, sa_column=_big())
    provenance: str = "unknown"
    """A `Provenance` (domain/completion.py)."""
    is_byok: bool | None = None
    """Whether it went through one's own key for the provider; none where the gateway did not say."""
    upstream_pico: int | None = Field(default=None, sa_column=_big())
    """The part of the cost that the provider charges to one's own key; none without one."""
    cost_details_json: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """The gateway's `cost_details` where they tell more than the cost."""
    prompt_chars: int | None = None
    """Characters of its messages as sent; none where they hold more than text."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    finish_reason: str | None = None
    failed_providers_json: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    """Providers that failed before the answer, in order, with the status where it is known; none: none did."""
    tags_json: str = "[]"


class GatewayBatch(SQLModel, table=True):
    """Requests of a run that were handed in to the gateway's batch endpoint; their calls name it as their owner."""

    __tablename__ = "gateway_batch"

    id: str = Field(primary_key=True)
    run_id: str = Field(index=True)
    contestant: int
    """Index into the plan's contestants."""
    remote_id: str | None = None
    """The gateway's id; none while nobody knows whether the gateway has it."""
    state: str = "submitting"
    """submitting, waiting, found (by its looks, in the gateway's list), missed or ended."""
    calls: int
    answered: int = 0
    created_ms: int = Field(sa_column=_big(nullable=False))
    expires_ms: int | None = Field(default=None, sa_column=_big())
    account: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """Whose key handed it in, as the gateway names the account; empty: it does not."""


class Result(SQLModel, table=True):
    """The answer of a cell, or the record that it failed."""

    __table_args__ = (
        Index("ix_result_progress", "run_id", "contestant", "status"),
        Index("ix_result_rows", "run_id", "row"),
    )

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    cell: int = Field(primary_key=True)
    row: int
    prompt: int
    contestant: int
    sample: int
    status: str
    """ok or failed."""
    error_kind: str | None = None
    call_id: str | None = None
    cached: bool = False
    value: float | None = None
    """Mean of the graders' values; none when nothing scored it."""
    passed: bool | None = None
    """True when every grader that gave a verdict passed."""
    preview: str = ""
    """First 80 characters of the answer or of the error."""
    cost_pico: int | None = Field(default=None, sa_column=_big())
    """Cost of the contestant's own calls for this cell, every attempt; none when any is unknown. This and the next six
    are what the ledger says (store/cell_costs.py)."""
    known_pico: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    unknown_calls: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    unknown_bound_pico: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    judging_pico: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """Known costs of its judges' calls, in none of the above."""
    judging_unknown: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    judging_bound_pico: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    cut: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=false()))
    """Whether the answer ended at its `max_tokens`."""
    first_token_ms: float | None = None
    total_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finished_ms: int = Field(sa_column=_big(nullable=False))


class ResultText(SQLModel, table=True):
    """The long texts of a result."""

    __tablename__ = "result_text"

    run_id: str = Field(primary_key=True)
    cell: int = Field(primary_key=True)
    output: str = Field(default="", sa_column=Column(Text, nullable=False))
    reasoning: str = Field(default="", sa_column=Column(Text, nullable=False))
    error: str = Field(default="", sa_column=Column(Text, nullable=False))
    note: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    """What a reader must know beside the output: that it is a refusal, was cut, or was asked for again."""


class ScoreRow(SQLModel, table=True):
    """One grader's score of one cell."""

    __tablename__ = "score"

    run_id: str = Field(primary_key=True)
    cell: int = Field(primary_key=True)
    grader: int = Field(primary_key=True)
    """Index into the plan's graders."""
    value: float | None = None
    passed: bool | None = None
    reason: str = Field(default="", sa_column=Column(Text, nullable=False))
    call_id: str | None = None
    """The judge's call."""


class CatalogueSnapshot(SQLModel, table=True):
    """The gateway's latest catalogue, so that the app opens offline."""

    __tablename__ = "catalogue_snapshot"

    gateway: str = Field(primary_key=True)
    fetched_ms: int = Field(sa_column=_big(nullable=False))
    models_json: str = Field(sa_column=Column(Text, nullable=False))
    """The JSON list of model objects as received."""


class PriceChange(SQLModel, table=True):
    """A price as first seen or changed."""

    __tablename__ = "price_change"

    id: int | None = Field(default=None, primary_key=True)
    gateway: str
    model: str = Field(index=True)
    seen_ms: int = Field(sa_column=_big(nullable=False))
    pricing_json: str = Field(sa_column=Column(Text, nullable=False))


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


DATASET, DATASET_ROW, DATASET_NAME = _table("dataset"), _table("dataset_row"), _table("dataset_name")
SAVED_PROMPT, PROMPT_LABEL, PROMPT_EVENT = _table("saved_prompt"), _table("prompt_label"), _table("prompt_event")
RUN_PROMPT = _table("run_prompt")
COMPARISON, COMPARISON_ANSWER = _table("comparison"), _table("comparison_answer")
RUN, CALL, MONTH_SPEND = _table("run"), _table("call"), _table("month_spend")
SPEND_SLOT = _table("spend_slot")
GATEWAY_BATCH = _table("gateway_batch")
SHARED_BUDGET = _table("shared_budget")
RUN_CHANGE, RUN_BOARD = _table("run_change"), _table("run_board")
RESULT, RESULT_TEXT, SCORE = _table("result"), _table("result_text"), _table("score")
CATALOGUE_SNAPSHOT, PRICE_CHANGE = _table("catalogue_snapshot"), _table("price_change")


def create_tables(connection: Connection) -> None:
    """Makes all tables of an empty database, as the migrations would (a test compares the two)."""
    SQLModel.metadata.create_all(connection)
