"""What may be said of a decision: one sentence for each case, and no others.

verdict_lines       the lines of a verdict: what is decided, the cheaper choice, who is left out
candidate_sentence  one cheaper contestant beside the leader
check_words         a comparison by its margin, for gates and Compare
p_words             a p value as it is written
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay.stats.values import Candidate, Comparison, Decision, Difference, MarginCheck, RowsNeeded, Standing

Money = Callable[[float], str]
"""Formats an amount, in the unit of the costs per row that were given."""
MOST_NAMES = 4
"""Leaders that are named; beyond, their number is said."""


def verdict_lines(decision: Decision, money: Money) -> list[str]:
    """The sentences of a decision, the main one first."""
    first, *more = _main(decision, money)
    lines = [" ".join((_so_far(decision, first), *more))]
    if choice := cheaper_choice(decision):
        lines.append(candidate_sentence(decision, choice, money))
    return [*lines, *(_left_out(line) for line in decision.standings if line.left_out and line.attempted)]


def cheaper_choice(decision: Decision) -> Candidate | None:
    """The cheaper contestant that a verdict names: the cheapest that is good enough, else the best-scoring that might
    be, else the best-scoring on the frontier; nobody: None."""
    for side in ("not_worse", "open", "worse"):
        found = [c for c in decision.candidates if c.check.side == side and (c.frontier or side == "not_worse")]
        if found:
            return found[0] if side == "not_worse" else max(found, key=lambda c: c.difference.value)
    return None


def candidate_sentence(decision: Decision, candidate: Candidate, money: Money) -> str:
    """Whether a cheaper contestant is good enough, and at what part of the leader's cost."""
    name, check = decision.standing(candidate.key).label, candidate.check
    than = "" if candidate.leader == decision.leaders[0] else f" than {decision.standing(candidate.leader).label}"
    if check.side != "open":
        return f"{name} is {_beside(candidate.difference, check, than)} {_at_cost(candidate.cost_share)}."
    said = f"{name} costs {_share(candidate.cost_share)}; {_beside(candidate.difference, check, than)}."
    return " ".join([said, *_would_tell(check.rows_needed, money, about="")])


def check_words(comparison: Comparison, money: Money) -> str:
    """A comparison by its margin, for a line of a gate or of Compare, without a full stop where it is one clause."""
    check = comparison.check
    said = f"{_beside(comparison.difference, check)} on {_count(comparison.difference.n, 'row')}"
    needed = _would_tell(check.rows_needed, money, about="")
    return f"{said}. {needed[0]}" if needed else said


def _beside(difference: Difference, check: MarginCheck, than: str = "") -> str:
    """How far the first of a difference is behind, by the margin."""
    margin, behind = check.margin * 100, -difference.value * 100
    ends = f"{_number(-check.high * 100, margin)} to {_number(-check.low * 100, margin)}"
    if check.side == "not_worse":
        return f"at most {margin:g} points worse{than} ({ends}, margin {margin:g})"
    if check.side == "worse":
        return f"{_points(behind)} worse{than} ({ends})"
    return f"whether it is more than {margin:g} points worse{than} is open: {_points(behind)} ({ends})"


def p_words(difference: Difference, comparisons: int) -> str:
    """`p = 0.03 after adjustment for 3 comparisons`; never `p = 0.000`, never 0.05 for what lies below."""
    p = difference.p_adjusted
    after = f" after adjustment for {comparisons:,} comparisons" if comparisons > 1 else ""
    return f"p < 0.001{after}" if p < 0.001 else f"p = {_p_number(p)}{after}"


def units(decision: Decision, n: int | None = None) -> str:
    """`200 rows`, or `40 rows in 12 customers`."""
    said = _count(decision.n if n is None else n, "row")
    if decision.clusters is None:
        return said
    only = "only " if decision.few_clusters else ""
    return f"{said} in {only}{_count(decision.clusters, decision.cluster_name)}"


def _main(decision: Decision, money: Money) -> list[str]:
    """The sentences of the main line; the first says what is decided."""
    match decision.claim:
        case "best":
            return [_best(decision)]
        case "lead_together":
            return _together(decision, money)
        case "open":
            first, second = (decision.standing(key).label for key in decision.leaders[:2])
            return [f"{first} and {second} differ on {_differing(decision)}: not enough rows to tell them apart."]
    return [_nothing(decision)]


def _best(decision: Decision) -> str:
    line = decision.standing(decision.leaders[0])
    return f"{line.label} is best: {_scored(line)}, ahead of every other by more than noise on {units(decision)}."


def _scored(line: Standing) -> str:
    found = line.best_of or line.score
    assert found is not None  # noqa: S101 - whoever is compared has a score
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _together(decision: Decision, money: Money) -> list[str]:
    first, second, *others = (decision.standing(key) for key in decision.leaders)
    found = decision.difference(first.key, second.key)
    assert found is not None  # noqa: S101 - leaders are compared
    if not others and found.p_adjusted < 1 - decision.confidence:
        return [_only_without_missing(decision, first), *_if_failed(decision)]
    which, apart = "no difference between them is shown to be real.", " the first two apart"
    if not others:
        ends = f"{_number(found.family_low * 100, 0)} to {_number(found.family_high * 100, 0)}"
        which, apart = f"the difference, {_points(found.value * 100)} ({ends}), is not shown to be real.", ""
    together = f"{_names([first, second, *others])} on {units(decision)}; {which}"
    return [together, *_would_tell(decision.rows_needed, money, apart=apart), *_if_failed(decision)]


def _only_without_missing(decision: Decision, first: Standing) -> str:
    both = "both" if sum(not line.left_out for line in decision.standings) == 2 else "all"
    as_failures = "a failure" if first.missing == 1 else "failures"
    missing = f"its {_count(first.missing, 'missing answer')}" if first.missing else "the missing answers"
    return (
        f"{first.label} leads on the {units(decision)} that {both} answered; counting {missing} as {as_failures} it "
        "does not."
    )


def _names(lines: Sequence[Standing]) -> str:
    """`A and B lead together: 0.91 and 0.88`."""
    if more := max(0, len(lines) - MOST_NAMES):
        named = [*(line.label for line in lines[:MOST_NAMES]), f"{more:,} other{'' if more == 1 else 's'}"]
        return f"{_listed(named)} lead together: {_mean(lines[0])} to {_mean(lines[-1])}"
    return f"{_listed([line.label for line in lines])} lead together: {_listed([_mean(line) for line in lines])}"


def _mean(line: Standing) -> str:
    return f"{line.score.value:.2f}" if line.score else "no score"


def _differing(decision: Decision) -> str:
    found = decision.difference(*decision.leaders[:2])
    return _count(found.better + found.worse if found else 0, "row")


def _nothing(decision: Decision) -> str:
    compared = [line for line in decision.standings if not line.left_out]
    if decision.all_zero:
        return "No contestant passed a row: is the grader right?"
    if not any(line.score for line in decision.standings):
        return "Nothing can be decided: no row has a score."
    if not compared:
        return "Nothing can be decided: no contestant has a score on 95 % of its rows."
    if len(compared) == 1:
        line = compared[0]
        said = f"{line.label} scores {_scored(line)} on {units(decision)}. " if line.score else ""
        return f"{said}Nothing can be decided: there is no other contestant to compare it with."
    if decision.n == 0:
        return "Nothing can be decided: no row has a score of every contestant."
    return f"Nothing can be decided on {units(decision)}: at least 3 with a score of every contestant are needed."


def _if_failed(decision: Decision) -> list[str]:
    """What missing answers would change."""
    found = decision.sensitivity
    if not found.changes or not found.missing_of_leader or found.leader is None:
        return []
    missing = _count(found.missing_of_leader, "missing answer")
    return [f"If its {missing} had failed, {decision.standing(found.leader).label} would lead."]


def _so_far(decision: Decision, said: str) -> str:
    if decision.look != "early" or decision.claim == "nothing":
        return said
    of = "" if decision.rows_planned is None else f" of {decision.rows_planned:,}"
    return f"So far ({decision.n:,}{of} rows): {said.removesuffix('.')}; valid at every look."


def _left_out(line: Standing) -> str:
    return f"{line.label} answered {int(line.coverage * 100)} % of its rows and is left out of the comparison."


def _would_tell(needed: RowsNeeded | None, money: Money, *, apart: str = "", about: str = "about ") -> list[str]:
    if needed is None:
        return []
    cost = "" if needed.cost is None else f" ({about}{money(needed.cost)})"
    return [f"About {rounded_rows(needed.rows):,} rows would tell{apart}{cost}."]


def rounded_rows(rows: int) -> int:
    """Rows to three digits: more would promise what no estimate holds."""
    step = int(10 ** max(0, len(str(rows)) - 3))
    return -(-rows // step) * step


def _at_cost(share: float) -> str:
    return "at no cost" if share == 0 else f"at {_part(share)} of the cost"


def _share(share: float) -> str:
    if share == 0:
        return "nothing"
    part = _part(share)
    return f"{part} as much" if part.endswith("%") else part


def _part(share: float) -> str:
    """A share as it is: 1/18 where that is it to half a percent of the whole, else 40 %."""
    whole = round(1 / share)
    return f"1/{whole:,}" if whole > 1 and abs(1 / whole - share) < 0.005 else f"{share * 100:.0f} %"


def _points(value: float) -> str:
    said = _number(value)
    return f"{said} point{'' if said in ('1', '-1') else 's'}"


def _number(value: float, apart_from: float | None = None) -> str:
    """A whole number; with decimals where it is none and small, or must not be mistaken for another."""
    for places in range(4):
        said = f"{value:.{places}f}"
        if places and apart_from is None:
            break
        if apart_from is None and (abs(value) >= 0.5 or value == 0):
            break
        if apart_from is not None and (float(said) != apart_from or value == apart_from):
            break
    return "0" if float(said) == 0 else said


def _p_number(p: float) -> str:
    """Two decimals, three below 0.01; more where it would be mistaken for 0.05."""
    for places in range(3 if p < 0.01 else 2, 6):
        said = f"{p:.{places}f}"
        if float(said) != 0.05 or p == 0.05:
            break
    return said


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else noun if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {plural}"
