"""Suite files: dataset, prompts, contestants, graders and gates of a run in one YAML file.

Suite and its parts   the file's shape; `docs/suite.schema.json` is published from it
load_suite            reads a file; every complaint names its line
draft_of              the draft of a run that a suite describes
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from assay.domain.contestant import Contestant, Prompt, Variant, names_of
from assay.domain.plan import RunMode
from assay.domain.score import GraderSpec
from assay.errors import AssayError, NotFound, SuiteError
from assay.money import MOST_BUDGET_USD
from assay.openrouter.parameters import ALLOW_UNKNOWN, check_parameter, modern_settings, unknown_names
from assay.scoring.graders import build, parse_spec
from assay.workbench.datasets.kept import open_dataset, warnings_of
from assay.workbench.gating.lined_yaml import LinedYaml, read_yaml
from assay.workbench.prompts import find_version, run_prompt
from assay.workbench.running.runs import RunDraft

if TYPE_CHECKING:
    from assay.store.datasets import StoredDataset
    from assay.workbench.session import Session

MAX_BYTES = 1_000_000


class Part(BaseModel):
    """A part of a suite file; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class PromptPart(Part):
    """A version of a prompt: inline, in a file, or of the prompt library."""

    name: str = ""
    """Shown name; give one to follow the version from run to run."""
    user: str | None = None
    """User text with {{variables}}."""
    file: str | None = None
    """File with the user text, relative to the suite file."""
    library: str | None = None
    """A version of the prompt library: NAME, NAME@label or NAME:3; it brings its own system text."""
    system: str | None = None
    """System text; the suite's own when absent."""
    system_file: str | None = None
    """File with the system text, relative to the suite file."""

    @model_validator(mode="after")
    def _one_text(self) -> PromptPart:
        if sum(given is not None for given in (self.user, self.file, self.library)) != 1:
            raise ValueError("a prompt has exactly one of user, file and library")
        if self.library is not None and (self.system is not None or self.system_file is not None):
            raise ValueError("a prompt of the library has its own system text")
        if self.system is not None and self.system_file is not None:
            raise ValueError("a prompt has either system or system_file")
        return self


class ContestantPart(Part):
    """A model with its parameters and routing."""

    model: str
    """Model id, such as openai/gpt-4o-mini."""
    label: str = ""
    """Shown name; comparisons with other runs match by it when parameters change."""
    params: dict[str, Any] = {}
    """Parameters by wire name (temperature, max_tokens ...); they win over the suite's."""
    provider: dict[str, Any] = {}
    """Provider routing (only, order, sort, zdr ...); it wins over the suite's."""
    variant: Variant = ""
    """floor: cheapest endpoint; nitro: fastest."""


class GraderPart(Part):
    """A grader with its settings."""

    kind: str
    """equals, contains, regex, numeric, json, json_schema or judge."""
    name: str = ""
    """Shown name."""
    params: dict[str, Any] = {}
    """Settings of the grader, such as value, expected, negate."""


class AtLeast(Part):
    """A lower bound, 0 to 1."""

    min: float = Field(ge=0, le=1)
    contestant: str | None = None
    """Label or model id; every contestant when absent."""


class AtMost(Part):
    """An upper bound."""

    max: float = Field(ge=0)
    contestant: str | None = None
    """Label or model id; every contestant when absent."""


class CostAtMost(Part):
    """An upper bound in USD."""

    max: Annotated[Decimal, Field(ge=0, strict=False)]
    contestant: str | None = None
    """Label or model id; the whole run, judges included, when absent."""


class NotWorseThan(Part):
    """No score below that of an earlier run: by more than a margin, or, without one, by more than noise."""

    run: str
    """Id of a run, or the name of runs: the newest one that is done."""
    margin: float | None = Field(None, gt=0, lt=1)
    """Points worse, as a share, that are allowed (0.05: five points). The gate passes when the 95 % interval of the
    difference lies above -margin, fails when it lies below, and is undecided in between. The suite's margin when
    absent; without any the gate says only whether a drop is shown, by alpha."""
    alpha: float | None = Field(None, gt=0, lt=1)
    """Without a margin: the gate fails when a score is lower with a two-sided p below this; 0.05 when absent."""
    undecided: Literal["fail", "pass"] = "fail"
    """What an undecided gate does: fail (exit code 100), or pass."""
    contestant: str | None = None
    """Label or model id; every contestant that the other run has too when absent."""
    missing: Literal["refuse", "pass"] = "refuse"
    """What to do when there is no such run: refuse before anything is sent, or pass (for the first run of all)."""

    @model_validator(mode="after")
    def _one_meaning(self) -> NotWorseThan:
        if self.margin is not None and self.alpha is not None:
            raise ValueError("a comparison has either margin or alpha")
        return self

    @property
    def level(self) -> float:
        """The alpha of a gate without a margin."""
        return 0.05 if self.alpha is None else self.alpha


class Gate(Part):
    """One condition that a run must meet; exactly one key."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    score: AtLeast | None = None
    """Mean score, 0 to 1, over scored cells."""
    pass_rate: AtLeast | None = None
    """Share of scored rows that pass, 0 to 1."""
    cost_usd: CostAtMost | None = None
    """What the run cost; a cost that is unknown counts with its upper bound."""
    p50_ms: AtMost | None = None
    """Median latency in ms."""
    p95_ms: AtMost | None = None
    """95th percentile of latency in ms."""
    failed: AtMost | None = None
    """Cells without an answer: failed, or never sent because their contestant was stopped."""
    not_worse_than: NotWorseThan | None = None
    """Paired comparison with an earlier run, rows joined by their key."""

    @model_validator(mode="after")
    def _one_condition(self) -> Gate:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            raise ValueError(f"a gate is exactly one of {', '.join(Gate.model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """Which condition it is."""
        return next(iter(self.model_fields_set))

    @property
    def condition(self) -> AtLeast | AtMost | CostAtMost | NotWorseThan:
        """The condition itself."""
        condition: AtLeast | AtMost | CostAtMost | NotWorseThan = getattr(self, self.kind)
        return condition


def _form(value: Any) -> str:
    return "text" if isinstance(value, str) else "mapping"


_Text = Annotated[str, Tag("text")]
_EITHER = Discriminator(_form)
PromptItem = Annotated[_Text | Annotated[PromptPart, Tag("mapping")], _EITHER]
ContestantItem = Annotated[_Text | Annotated[ContestantPart, Tag("mapping")], _EITHER]
GraderItem = Annotated[_Text | Annotated[GraderPart, Tag("mapping")], _EITHER]


class Suite(Part):
    """A suite file of Assay: what a run compares, and the gates that it must pass."""

    model_config = ConfigDict(title="Assay suite")

    name: str = ""
    """Name of the run."""
    dataset: str
    """A file relative to the suite file, an example, or a stored dataset by id or name."""
    mapping: dict[str, str] = {}
    """Template variable -> dataset column, where the names differ."""
    expected: str | None = None
    """Column with the right answers; guessed from the columns' names when absent."""
    system: str = ""
    """System text of every prompt that has none of its own."""
    prompts: list[PromptItem] = Field(min_length=1)
    """Prompt versions: user texts with {{variables}}, or mappings."""
    contestants: list[ContestantItem] = Field(min_length=1)
    """Models: ids, or mappings."""
    params: dict[str, Any] = {}
    """Parameters of every contestant."""
    provider: dict[str, Any] = {}
    """Provider routing of every contestant."""
    graders: list[GraderItem] = []
    """Graders as on the command line (KIND[:name=value,...]), or mappings."""
    samples: int = Field(1, ge=1, le=100)
    """Answers per cell."""
    limit: int | None = Field(None, ge=1)
    """First rows only."""
    budget_usd: Annotated[Decimal, Field(ge=0, le=MOST_BUDGET_USD, strict=False)] | None = None
    """USD that the run never passes; the estimate's worst case when absent."""
    concurrency: int | None = Field(None, ge=1, le=512)
    """Calls in flight at most; adaptive when absent."""
    mode: RunMode = "normal"
    """normal; floor: the cheapest provider; flex: the slower, cheaper tier; batch: half price, within a day."""
    margin: float | None = Field(None, gt=0, lt=1)
    """Points worse, as a share, that still count as good enough, in the verdict, in comparisons and in gates; 0.05 in
    verdict and comparisons when absent."""
    tags: list[str] = []
    """Tags of the run."""
    allow_unknown: bool = False
    """Whether parameters and routing that nobody knows by name are sent; they are refused when absent."""
    gates: list[Gate] = []
    """Conditions; one that is not met makes the exit code 100."""


_PARTS: dict[str, type[Part]] = {
    "prompts": PromptPart,
    "contestants": ContestantPart,
    "graders": GraderPart,
    "gates": Gate,
    "score": AtLeast,
    "pass_rate": AtLeast,
    "cost_usd": CostAtMost,
    "p50_ms": AtMost,
    "p95_ms": AtMost,
    "failed": AtMost,
    "not_worse_than": NotWorseThan,
}
"""The key under which each part stands: where a key that is not known gets its suggestion from."""


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """A suite, the folder that its paths start from, and the lines for complaints."""

    suite: Suite
    path: Path
    yaml: LinedYaml

    def wrong(self, place: tuple[str | int, ...], message: str) -> SuiteError:
        """A complaint about a place in the file."""
        return SuiteError(f"{self.path.name}, line {self.yaml.line_of(place)}: {message}")


def schema_json() -> str:
    """The JSON schema of suite files, as published in `docs/suite.schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Suite.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def load_suite(path: Path) -> SuiteFile:
    """A suite file. Raises SuiteError with the line of everything that is wrong."""
    text = _read(path, path.name)
    if len(text) > MAX_BYTES:
        raise SuiteError(f"{path.name} holds {len(text):,} characters; a suite has at most {MAX_BYTES:,}.")
    found = read_yaml(text, path.name)
    if not isinstance(found.value, dict):
        raise SuiteError(
            f"{path.name} is a {_kind(found.value)}, not a mapping.", cure="Start from examples/suite.yaml."
        )
    try:
        suite = Suite.model_validate(found.value)
    except ValidationError as error:
        raise SuiteError("\n".join(_complaints(error, found, path.name))) from error
    return SuiteFile(suite, path, found)


def _read(path: Path, shown: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SuiteError(f"{shown} cannot be read: {reason}.", cure="Check the path.") from error


def _complaints(error: ValidationError, found: LinedYaml, name: str) -> list[str]:
    """Every complaint, from the top of the file down."""
    complaints = []
    for problem in error.errors(include_url=False):
        place: tuple[str | int, ...] = ()
        for step in problem["loc"]:
            if (*place, step) in found.lines:
                place = (*place, step)
        complaints.append((found.line_of(place), _in_words(problem, place)))
    return [f"{name}, line {line}: {words}" for line, words in sorted(complaints)]


def _in_words(problem: Mapping[str, Any], place: tuple[str | int, ...]) -> str:
    key = ".".join(str(step + 1) if isinstance(step, int) else step for step in place)
    match problem["type"]:
        case "extra_forbidden":
            return _unknown_key(place)
        case "missing":
            return f"{problem['loc'][-1]!r} is missing{f' in {key}' if key else ''}."
        case "value_error":
            return f"{problem['ctx']['error']} ({key})."
        case "model_type" | "model_attributes_type":
            wanted = "text or a mapping" if problem["loc"][-1] == "mapping" else "a mapping"
            return f"{key} is a {_kind(problem['input'])}; it must be {wanted}."
        case "too_short":
            return f"{key} is empty; give at least one."
    wanted = problem["msg"].removeprefix("Input ")
    return f"{key} {wanted}; it is {problem['input']!r}."


def _unknown_key(place: tuple[str | int, ...]) -> str:
    part = next((_PARTS[step] for step in reversed(place[:-1]) if step in _PARTS), Suite)
    near = difflib.get_close_matches(str(place[-1]), part.model_fields, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(part.model_fields)}."
    return f"there is no key {place[-1]!r} here. {hint}"


def _kind(value: Any) -> str:
    names = {list: "list", str: "text", bool: "yes or no", int: "number", float: "number", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def draft_of(session: Session, file: SuiteFile, *, allow_unknown: bool = False) -> tuple[RunDraft, list[str]]:
    """The draft that a suite describes, and notes about settings that have no effect.

    allow_unknown: names of parameters and routing that nobody knows are sent, whatever the suite says.

    Raises SuiteError for what the file says, NotFound and ImportRefused for the dataset.
    """
    if allow_unknown and not file.suite.allow_unknown:
        file = replace(file, suite=file.suite.model_copy(update={"allow_unknown": True}))
    suite = file.suite
    notes: list[str] = []
    contestants = tuple(_contestant(file, n, notes) for n in range(len(suite.contestants)))
    prompts = tuple(_prompt(session, file, n) for n in range(len(suite.prompts)))
    graders = tuple(_grader(file, n) for n in range(len(suite.graders)))
    for n, gate in enumerate(suite.gates):
        wanted = gate.condition.contestant
        if wanted is not None and not any(
            wanted in (c.name, c.model_id, name) for c, name in zip(contestants, names_of(contestants), strict=True)
        ):
            names = ", ".join(names_of(contestants))
            raise file.wrong(("gates", n), f"there is no contestant {wanted!r}. There are: {names}.")
    dataset = _dataset(session, file)
    draft = RunDraft(
        dataset_id=dataset.id,
        prompts=prompts,
        contestants=contestants,
        graders=graders,
        samples=suite.samples,
        mapping=suite.mapping,
        expected_column=suite.expected or dataset.roles.get("expected"),
        budget_usd=suite.budget_usd,
        concurrency=suite.concurrency,
        limit=suite.limit,
        name=suite.name,
        tags=tuple(suite.tags),
        mode=suite.mode,
        allow_unknown=suite.allow_unknown,
        margin=suite.margin,
    )
    notes += _gate_notes(suite)
    if (file.path.parent / suite.dataset).is_file():
        notes += [f"{suite.dataset}: {words}" for words in warnings_of(dataset)]
    return draft, list(dict.fromkeys(notes))


def _gate_notes(suite: Suite) -> list[str]:
    """What gates of the earlier meaning do not say."""
    conditions = [gate.not_worse_than for gate in suite.gates if gate.not_worse_than is not None]
    if suite.margin is not None or not any(c.margin is None and c.alpha is None for c in conditions):
        return []
    return [
        "not_worse_than without a margin passes where no drop is shown, however few the rows are. `margin: 0.05` in "
        "the gate or in the suite asks that at most five points are lost."
    ]


def _dataset(session: Session, file: SuiteFile) -> StoredDataset:
    given = file.suite.dataset
    path = file.path.parent / given
    if path.is_file():
        return open_dataset(session, str(path))
    if Path(given).is_file():
        raise NotFound(f"There is no file {given!r} beside {file.path.name}.", cure="Paths start at the suite file.")
    return open_dataset(session, given)


def _prompt(session: Session, file: SuiteFile, n: int) -> Prompt:
    item = file.suite.prompts[n]
    part = PromptPart(user=item) if isinstance(item, str) else item
    if part.library is not None:
        return _library_prompt(session, file, n, part)
    user = part.user if part.file is None else _text_at(file, ("prompts", n, "file"), part.file)
    system = (
        part.system if part.system_file is None else _text_at(file, ("prompts", n, "system_file"), part.system_file)
    )
    several = len(file.suite.prompts) > 1
    name = part.name or (Path(part.file).stem if part.file else f"prompt {n + 1}" if several else "")
    return Prompt(user=user or "", system=file.suite.system if system is None else system, name=name)


def _library_prompt(session: Session, file: SuiteFile, n: int, part: PromptPart) -> Prompt:
    try:
        prompt = run_prompt(find_version(session, part.library or ""))
    except NotFound as error:
        raise file.wrong(("prompts", n, "library"), str(error)) from error
    return replace(prompt, name=part.name) if part.name else prompt


def _text_at(file: SuiteFile, place: tuple[str | int, ...], given: str) -> str:
    try:
        return _read(file.path.parent / given, given)
    except SuiteError as error:
        raise file.wrong(place, str(error)) from error


def _contestant(file: SuiteFile, n: int, notes: list[str]) -> Contestant:
    suite, item = file.suite, file.suite.contestants[n]
    part = ContestantPart(model=item) if isinstance(item, str) else item
    settings = modern_settings({**suite.params, **part.params, "provider": {**suite.provider, **part.provider}})
    notes += settings.messages
    if not suite.allow_unknown and (unknown := unknown_names(settings.params, settings.provider)):
        raise file.wrong(_place_of(part, n, unknown[0]), f"{' '.join(unknown)} {ALLOW_UNKNOWN}")
    for name, value in settings.params.items():
        try:
            check_parameter(name, value)
        except AssayError as error:
            own = ("contestants", n, "params", name)
            raise file.wrong(own if name in part.params else ("params", name), str(error)) from error
    return Contestant(part.model, settings.params, settings.provider, part.variant, part.label)


def _place_of(part: ContestantPart, n: int, complaint: str) -> tuple[str | int, ...]:
    """Where the name of a complaint stands: with its contestant, or else at the suite's own settings."""
    for holder, own in (("params", part.params), ("provider", part.provider)):
        for name in own:
            if f"{name!r}" in complaint or f".{name}" in complaint or f"{name}." in complaint:
                return ("contestants", n, holder, name)
    return ("provider",) if "routing" in complaint or "provider." in complaint else ("params",)


def _grader(file: SuiteFile, n: int) -> GraderSpec:
    item = file.suite.graders[n]
    try:
        spec = parse_spec(item) if isinstance(item, str) else GraderSpec(item.kind, item.params, item.name)
        build(spec)
    except AssayError as error:
        raise file.wrong(("graders", n), str(error)) from error
    return spec
