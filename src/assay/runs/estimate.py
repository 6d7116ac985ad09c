"""What a run will cost and how long it will take, before anything is sent (DESIGN 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from assay.domain.contestant import Contestant
from assay.domain.data_policy import narrowed
from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunPlan
from assay.money import to_pico
from assay.openrouter.bounds import Bound, Terms, Weight, size_of, weight_of
from assay.openrouter.pricing import Pricing, estimate_tokens, parse_pricing
from assay.prompts.template import mapped, render_prompt, unsendable
from assay.runs.answers import AnswerLength, Teacher, answer_length
from assay.runs.grid import sample_seed
from assay.runs.modes import in_mode, unbatchable
from assay.runs.prices import PriceBook, allowed
from assay.runs.retry_room import FirstTries, retry_room
from assay.scoring.graders import Grader, build
from assay.scoring.judge import MAX_TOKENS as JUDGE_MAX_TOKENS
from assay.scoring.judge import NONCE, judge_messages, judge_params, most_answer_bytes
from assay.stats.prediction import Sample
from assay.store.learnt import Learnt

JUDGE_OUTPUT = 60
JUDGE_PROMPT = 220
"""Tokens of a judge's instructions."""
SPREAD = 2.0
"""Low and high of a verdict's length around the expected one."""
PROMPT_DOUBT = 0.4
"""How far the tokens of a prompt may be from four characters each, as a share."""
SECONDS_PER_CALL = 3.0
BATCH_SECONDS = 86_400.0
"""A batch is answered within a day."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A cost before it is spent, in pico-dollars; None where a price is unknown."""

    low: int | None
    expected: int | None
    high: int | None
    worst: int | None
    """The bound of one attempt per call, by the arithmetic that reserves the budget of each call."""
    unbounded: tuple[str, ...] = ()
    """What has no bound, in words; empty where there is one."""
    guessed: bool = False
    """Some answers' length is a guess: nobody was asked this prompt yet."""
    dearest: int | None = None
    """The bound of the dearest single call; None: nothing is sent, or it has none."""
    dearest_of: str = ""
    """Who is sent that call."""
    retries: int = 0
    """What the tries after the first may cost at most, beside the bound of one attempt per call."""

    @property
    def never_above(self) -> int | None:
        """What all calls cost at most, every try counted; None where a price is unknown."""
        return None if self.worst is None else self.worst + self.retries

    def times(self, factor: Decimal) -> Estimate:
        """The same at a part of the price; the bound stays, for no discount is promised."""
        low, expected, high = (None if v is None else int(v * factor) for v in (self.low, self.expected, self.high))
        return replace(self, low=low, expected=expected, high=high)


@dataclass(frozen=True, slots=True)
class ContestantEstimate:
    """The share of one contestant."""

    label: str
    calls: int
    cost: Estimate
    """Its judges included."""
    seconds: float
    """How long its calls, its judges' included, keep the run's places busy."""


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run will send."""

    rows: int
    prompts: int
    contestants: int
    samples: int
    calls: int
    """Calls to contestants."""
    judge_calls: int
    seconds: float
    cost: Estimate
    per_contestant: tuple[ContestantEstimate, ...]
    usual: int | None = None
    """The expected cost at the usual price, where the run's mode is a cheaper one."""

    @property
    def saving(self) -> int | None:
        """What the run's mode is expected to save; None: nothing, or unknown."""
        if self.usual is None or self.cost.expected is None or self.usual <= self.cost.expected:
            return None
        return self.usual - self.cost.expected

    def as_json(self) -> str:
        """As stored with the run, to be judged afterwards."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Heaviest:
    """The calls of which one is the dearest, whatever the prices are; of no call: empty."""

    text: Weight = field(default_factory=Weight)
    media: Weight = field(default_factory=Weight)
    """Of those with pictures or sound."""
    judged_bytes: int = 0

    def or_heavier(self, other: Heaviest) -> Heaviest:
        """The heavier of two in each."""
        return Heaviest(
            max(self.text, other.text, key=lambda one: one.tokens + one.calls),
            max(self.media, other.media, key=lambda one: one.images + one.calls),
            max(self.judged_bytes, other.judged_bytes),
        )

    def bound(self, terms: Terms) -> int | None:
        """The bound of the dearest; None where there is no call, or it has none."""
        bounds = [terms.bound(one).pico for one in (self.text, self.media) if one.calls]
        known = [pico for pico in bounds if pico is not None]
        return max(known) if known and len(known) == len(bounds) else None


def _one_call(weight: Weight, judged_bytes: int) -> Heaviest:
    return (
        Heaviest(media=weight, judged_bytes=judged_bytes) if weight.whole else Heaviest(weight, Weight(), judged_bytes)
    )


class _Judge(NamedTuple):
    """A judge as it is asked, but for the question, the answer and what was expected."""

    request: CompletionRequest
    taught: Learnt

    @property
    def model(self) -> str:
        """Model id."""
        return self.request.model


@dataclass(slots=True)
class Lengths:
    """Lengths of the rendered prompts of one version, over all calls that send them."""

    tokens: float = 0.0
    """As they are guessed for a model that has taught nothing."""
    chars: int = 0
    weight: Weight = field(default_factory=Weight)
    """What they cost at most is made from."""
    judged_bytes: int = 0
    """Of what a judge is shown beside its instructions and the answer: question, and the longest expected answer."""
    heaviest: Heaviest = field(default_factory=Heaviest)

    @property
    def calls(self) -> int:
        """Calls that are sent."""
        return self.weight.calls

    def add(self, one: Lengths, times: int) -> None:
        """Counts a call as often as it is sent."""
        self.tokens += times * one.tokens
        self.chars += times * one.chars
        self.weight += one.weight.times(times)
        self.judged_bytes += times * one.judged_bytes
        if times:
            self.heaviest = self.heaviest.or_heavier(one.heaviest)

    def tokens_of(self, taught: Learnt) -> float:
        """The tokens to expect by what a model has taught."""
        return self.tokens if taught.tokens_per_char is None else self.chars * taught.tokens_per_char


def lengths_of(plan: RunPlan, rows: Iterable[Mapping[str, str]]) -> list[list[Lengths]]:
    """The lengths of a plan that asks for all of its cells: by contestant and prompt. Raises TemplateError."""
    return for_all(plan, once(plan, rows))


def once(plan: RunPlan, rows: Iterable[Mapping[str, str]]) -> list[Lengths]:
    """The lengths of each prompt over all rows, each row asked once: they cost the time. Raises TemplateError."""
    found = [Lengths() for _ in plan.prompts]
    judges = _judges(plan)
    for values in rows:
        for mine, one in zip(found, _of_row(plan, values, judges), strict=True):
            mine.add(one, 1)
    return found


def for_all(plan: RunPlan, each: Sequence[Lengths]) -> list[list[Lengths]]:
    """The lengths by contestant and prompt, of those of each prompt asked once."""
    found = [Lengths() for _ in each]
    for mine, one in zip(found, each, strict=True):
        mine.add(one, plan.samples)
    return [found] * len(plan.contestants)


def missing_lengths(plan: RunPlan, rows: Iterable[Mapping[str, str]], done: bytes | bytearray) -> list[list[Lengths]]:
    """The lengths of the cells that are not done, by contestant and prompt; done: one byte per cell, 0 for those that
    are to be sent. Raises TemplateError."""
    found = [[Lengths() for _ in plan.prompts] for _ in plan.contestants]
    judges = _judges(plan)
    for row, values in enumerate(rows):
        wanted = _missing(plan, done, row)
        if not any(wanted):
            continue
        for n, one in enumerate(_of_row(plan, values, judges)):
            for c, mine in enumerate(found):
                mine[n].add(one, wanted[n * len(plan.contestants) + c])
    return found


def _judges(plan: RunPlan) -> list[Grader]:
    return [build(spec) for spec in plan.graders if spec.kind == "judge"]


def _of_row(plan: RunPlan, values: Mapping[str, str], judges: Sequence[Grader]) -> Iterator[Lengths]:
    """The lengths of one call for each prompt of a row; none where it asks nothing and is not sent."""
    given = mapped(values, plan.mapping)
    # Judges differ in what they are told to expect: the longest counts for each.
    expected = max((size_of(judge.expected_of(values, plan.expected_column) or "") for judge in judges), default=0)
    for prompt in plan.prompts:
        messages = render_prompt(prompt, given)
        if unsendable(prompt, given, messages):
            yield Lengths()
            continue
        texts = [message.text for message in messages]
        tokens = sum(estimate_tokens(text) + 4 for text in texts)
        shown = sum(map(size_of, texts)) + 2 * len(texts) + expected
        weight = weight_of(messages)
        yield Lengths(tokens, sum(map(len, texts)), weight, shown, _one_call(weight, shown))


def estimate_run(
    plan: RunPlan,
    lengths: Sequence[Sequence[Lengths]],
    prices: PriceBook,
    *,
    teacher: Teacher,
    per_minute: Callable[[str], int | None] = lambda _: None,
    places: int = 32,
    tries: int = 1,
) -> RunEstimate:
    """The estimate of a plan.

    lengths: by contestant and prompt, of the calls that are to be sent. teacher: what this team's ledger has taught.
    per_minute: calls per minute that a model takes at most. places: calls in flight where the plan sets no limit.
    tries: attempts of a call at most, the first included.
    Raises PolicyError where the data policy leaves no provider.
    """
    judges = [_asked_judge(plan, g.params) for g in plan.graders if g.kind == "judge"]
    taught = {c.model_id: teacher.learnt(c.model_id, False) for c in plan.contestants}
    verdicts = [_Judge(judge, teacher.learnt(judge.model, True)) for judge in judges]
    answers = [[teacher.answers(c.model_id, prompt.key) for prompt in plan.prompts] for c in plan.contestants]
    places = plan.concurrency or places
    shares = tuple(
        _share(
            plan, contestant, list(zip(mine, known, strict=True)), verdicts, prices, taught[contestant.model_id], places
        )
        for contestant, mine, known in zip(plan.contestants, lengths, answers, strict=True)
    )
    calls = sum(share.calls for share in shares)
    usual = None
    if plan.mode != "normal":
        normal = replace(plan, mode="normal")
        usual = total(
            [
                _share(
                    normal,
                    contestant,
                    list(zip(mine, known, strict=True)),
                    verdicts,
                    prices,
                    taught[contestant.model_id],
                    places,
                ).cost
                for contestant, mine, known in zip(plan.contestants, lengths, answers, strict=True)
            ]
        ).expected
    first = list(_first_tries(plan, lengths, verdicts, prices))
    # What a batch leaves unanswered is asked for once more, alone, and then tried as often as any call.
    room = retry_room(first, tries=tries + 1 if plan.mode == "batch" else tries)
    return RunEstimate(
        rows=plan.row_count,
        prompts=len(plan.prompts),
        contestants=len(plan.contestants),
        samples=plan.samples,
        calls=calls,
        judge_calls=calls * len(judges),
        seconds=_seconds(plan, shares, taught, verdicts, per_minute),
        cost=replace(total([share.cost for share in shares]), retries=room),
        per_contestant=shares,
        usual=usual,
    )


def unbounded(plan: RunPlan, prices: PriceBook) -> tuple[str, ...]:
    """What of a plan's calls has no bound whatever the rows are, in words; none: empty. Raises PolicyError."""
    asked = [_asked(plan, contestant, prices) for contestant in plan.contestants]
    asked += [_asked_judge(plan, g.params) for g in plan.graders if g.kind == "judge"]
    return tuple(dict.fromkeys(words for request in asked if (words := prices.terms(request).unknown)))


def _asked(plan: RunPlan, contestant: Contestant, prices: PriceBook) -> CompletionRequest:
    """What a contestant is sent, but for the messages. Raises PolicyError where the data policy leaves no provider."""
    added = prices.added_max_tokens(contestant)
    params = {**({} if added is None else {"max_tokens": added}), **contestant.params}
    params = sample_seed(plan, plan.samples - 1) | params  # it weighs as much as that of any other sample, or more
    routing = narrowed(contestant.provider, plan.data_policy)
    return in_mode(CompletionRequest(contestant.model_id, (), params, routing), plan.mode, prices)


def _asked_judge(plan: RunPlan, params: Mapping[str, Any]) -> CompletionRequest:
    """What a judge is sent with every answer, whatever the answer is."""
    messages = judge_messages(
        rubric=str(params.get("rubric", "")), question="", answer="", expected="-", nonce="0" * NONCE
    )
    return CompletionRequest(str(params["model"]), messages, judge_params(params), plan.data_policy)


def _missing(plan: RunPlan, done: bytes | bytearray, row: int) -> list[int]:
    """How many samples of a row are missing, for each contestant of each prompt: places as in the row's first cells."""
    width = len(plan.prompts) * len(plan.contestants)
    cells = done[row * plan.samples * width : (row + 1) * plan.samples * width]
    return [cells[place::width].count(0) for place in range(width)]


def _seconds(
    plan: RunPlan,
    shares: Sequence[ContestantEstimate],
    taught: Mapping[str, Learnt],
    verdicts: Sequence[_Judge],
    per_minute: Callable[[str], int | None],
) -> float:
    """Seconds of the whole run: its places are shared, no call is shorter than itself, and some models are rationed."""
    if plan.mode == "batch":
        return BATCH_SECONDS
    asked: dict[str, int] = {}
    longest = 0.0
    for contestant, share in zip(plan.contestants, shares, strict=True):
        if share.calls:
            longest = max(longest, _cell_s(taught[contestant.model_id], verdicts))
        for model in (contestant.model_id, *(judge.model for judge in verdicts)):
            asked[model] = asked.get(model, 0) + share.calls
    rationed = [calls / limit * 60 for model, calls in asked.items() if (limit := per_minute(model))]
    return max(sum(share.seconds for share in shares), longest, *rationed)


def _cell_s(taught: Learnt, verdicts: Sequence[_Judge]) -> float:
    """Seconds of one cell: the answer, then its judges one after another."""
    return sum(one.seconds or SECONDS_PER_CALL for one in (taught, *(judge.taught for judge in verdicts)))


def _share(
    plan: RunPlan,
    contestant: Contestant,
    prompts: Sequence[tuple[Lengths, Sample | None]],
    verdicts: Sequence[_Judge],
    prices: PriceBook,
    taught: Learnt,
    places: int,
) -> ContestantEstimate:
    model_id = contestant.model_id
    asked = _asked(plan, contestant, prices)
    longest = prices.max_tokens(asked)
    terms = prices.batch_terms(asked) if plan.mode == "batch" else prices.terms(asked)
    known = prices.prices(model_id, asked.provider)
    model = prices.model(model_id)
    reasons = model is not None and model.reasons
    cheaper = _cheaper(plan, contestant, prices)
    name = plan.names[plan.contestants.index(contestant)]
    parts = []
    for length, answers in prompts:
        if not length.calls:
            continue
        answer = answer_length(answers, taught=taught, reasons=reasons, calls=length.calls, longest=longest)
        cost = _cost(known, length.tokens_of(taught), answer, length.calls)
        dearest = replace(cost.times(cheaper), dearest=length.heaviest.bound(terms), dearest_of=name)
        parts.append(_bounded(dearest, terms.bound(length.weight)))
        parts += [_judging(judge, length, answer.expected, longest, prices) for judge in verdicts]
    calls = sum(length.calls for length, _ in prompts)
    seconds = BATCH_SECONDS if plan.mode == "batch" else calls * _cell_s(taught, verdicts) / places
    return ContestantEstimate(name, calls, total(parts), seconds)


def _first_tries(
    plan: RunPlan, lengths: Sequence[Sequence[Lengths]], verdicts: Sequence[_Judge], prices: PriceBook
) -> Iterator[FirstTries]:
    """What may be tried again: the calls to each contestant and judge, with the bound of the dearest."""
    for contestant, mine in zip(plan.contestants, lengths, strict=True):
        asked = _asked(plan, contestant, prices)
        terms = prices.batch_terms(asked) if plan.mode == "batch" else prices.terms(asked)
        longest = prices.max_tokens(asked)
        for length in mine:
            yield FirstTries(asked.model, length.calls, length.heaviest.bound(terms) or 0)
            for judge in verdicts:
                yield FirstTries(judge.model, length.calls, _dearest_verdict(judge, length, longest, prices).pico or 0)


def _dearest_verdict(judge: _Judge, length: Lengths, longest: int, prices: PriceBook) -> Bound:
    """The bound of the dearest single call of a judge, on answers of a longest length."""
    shown = length.heaviest.judged_bytes + most_answer_bytes(longest)
    return prices.terms(judge.request).bound(weight_of(judge.request.messages) + Weight(tokens=shown))


def _judging(judge: _Judge, length: Lengths, output: float, longest: int, prices: PriceBook) -> Estimate:
    """What one judge costs on answers of an expected and a longest length."""
    listed = prices.prices(judge.model, judge.request.provider)
    prompt = length.tokens_of(judge.taught) + length.calls * (output + JUDGE_PROMPT)
    said = min(judge.taught.answer_tokens or JUDGE_OUTPUT, JUDGE_MAX_TOKENS)
    high = min(said * SPREAD, float(prices.max_tokens(judge.request)))
    cost = _cost(listed, prompt, AnswerLength(said / SPREAD, said, high, guessed=False), length.calls)
    instructions, answer_bytes = weight_of(judge.request.messages), most_answer_bytes(longest)
    terms = prices.terms(judge.request)
    weight = instructions.times(length.calls) + Weight(tokens=length.judged_bytes + length.calls * answer_bytes)
    one = _dearest_verdict(judge, length, longest, prices)
    cost = replace(cost, dearest=one.pico, dearest_of=f"the judge {judge.model}")
    return _bounded(cost, terms.bound(weight))


def _bounded(cost: Estimate, bound: Bound) -> Estimate:
    return replace(cost, worst=bound.pico, unbounded=(bound.unknown,) if bound.unknown else ())


def _cheaper(plan: RunPlan, contestant: Contestant, prices: PriceBook) -> Decimal:
    """The part of the usual price that a contestant is expected to cost in the run's mode; 1: it is no cheaper."""
    model_id = contestant.model_id
    model = prices.model(model_id)
    if plan.mode == "batch":
        why = unbatchable(plan, contestant, is_main=prices.speaks_openrouter(model_id))
        return Decimal(1) if why else prices.batch_share(model_id)
    if plan.mode == "normal" or model is None or not model.pricing.completion:
        return Decimal(1)
    rows = prices.flex_endpoints(model_id)
    if plan.mode == "floor" and prices.takes_variants(model_id):
        routing = {**contestant.provider, **plan.data_policy}
        rows = [row for row in prices.endpoints(model_id) or () if allowed(row, routing)]
    listed = [parse_pricing(row.get("pricing")).completion for row in rows]
    known = [price for price in listed if price is not None]
    return min(Decimal(1), min(known) / model.pricing.completion) if known else Decimal(1)


def _cost(prices: Sequence[Pricing], prompt_tokens: float, answer: AnswerLength, calls: int) -> Estimate:
    """The expected cost of many calls to one model; its bound is another's business."""
    if not prices or prices[0].prompt is None or prices[0].completion is None:
        return Estimate(None, None, None, None)
    listed = prices[0]

    def at(each: float, counted: float) -> int:
        amount = (
            usd_of(prompt_tokens * counted) * (listed.prompt or 0)
            + usd_of(each * calls) * (listed.completion or 0)
            + calls * (listed.request or 0)
        )
        return to_pico(amount * (1 - listed.discount))

    doubt = PROMPT_DOUBT if answer.guessed else 0.0
    low, high = at(answer.low, 1 - doubt), at(answer.high, 1 + doubt)
    return Estimate(low, at(answer.expected, 1), high, None, guessed=answer.guessed)


def usd_of(count: float) -> Decimal:
    """A count as a Decimal factor."""
    return Decimal(round(count))


def total(parts: Iterable[Estimate]) -> Estimate:
    """The sum of estimates; None as soon as one part is unknown."""
    found = list(parts)

    def add(values: list[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    dearest = max((p for p in found if p.dearest is not None), key=lambda p: p.dearest or 0, default=None)
    return Estimate(
        add([p.low for p in found]),
        add([p.expected for p in found]),
        add([p.high for p in found]),
        add([p.worst for p in found]),
        tuple(dict.fromkeys(words for p in found for words in p.unbounded)),
        any(p.guessed for p in found),
        dearest.dearest if dearest else None,
        dearest.dearest_of if dearest else "",
    )
