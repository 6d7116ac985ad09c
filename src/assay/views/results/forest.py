"""The scoreboard with its intervals drawn: one line per contestant on one axis from 0 to 1, as escaped HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from assay.exports.scoreboard import ContestantScore, points_words, rank_words
from assay.money import format_usd
from assay.views import words
from assay.workbench.results.graders import GraderMeans

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
FAINT = "rgba(128,128,128,.28)"
RULE = f"border-bottom:1px solid {FAINT}"
CELL = f"padding:.28rem .6rem;white-space:nowrap;{RULE}"
NUMBER = f"{CELL};text-align:right;font-variant-numeric:tabular-nums"
TABLE = "border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.35"
PLOT = "position:relative;height:1.15rem;min-width:11rem"


class Head(NamedTuple):
    """The head of a column."""

    title: str
    help: str
    is_number: bool = True


def board_html(board: Sequence[ContestantScore], graders: GraderMeans) -> str:
    """The table; contestants that are left out of the comparison stand below, apart."""
    shown = graders.names if len(graders.names) > 1 else ()
    heads = [
        Head("Contestant", "A model with its settings, and the prompt version", is_number=False),
        Head("Rank", "The ranks that are possible, by the differences that are shown to be real"),
        Head("", "", is_number=False),
        Head("Score", "Mean over the rows that all compared contestants have a score for, with its 95 % interval"),
        Head("To the leader", "Points on the same rows, with the interval adjusted for how many are compared"),
        *(Head(name, "What this grader gave on average; Score is the mean of the graders") for name in shown),
        Head("Per 1,000 rows", "Cost of its own calls for a thousand rows that have a score; judges stand apart"),
        Head("p50", "Half of the answers took at most this long"),
        Head("p95", "19 of 20 answers took at most this long"),
        Head("Coverage", "Share of the cells that have a score; errors are missing data"),
        Head("Cut", "Answers that ended at max_tokens: they may be incomplete"),
    ]
    compared = [line for line in board if not line.left_out]
    apart = [line for line in board if line.left_out]
    body = "".join(_row(line, graders, len(shown)) for line in compared)
    if apart:
        said = "Left out of the comparison: too few of their rows have a score"
        body += f'<tr><td colspan="{len(heads)}" style="{CELL};padding-top:.9rem;opacity:.75">{said}</td></tr>'
        body += "".join(_row(line, graders, len(shown)) for line in apart)
    head = "".join(_head(head) for head in heads)
    return (
        f'<div style="overflow-x:auto" role="region" aria-label="Scoreboard" tabindex="0"><table style="{TABLE}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def grading_words(board: Iterable[ContestantScore]) -> str:
    """What grading cost, once for all; no judge was asked: empty."""
    lines = list(board)
    pico, unknown = sum(line.judging_pico for line in lines), sum(line.judging_unknown for line in lines)
    if not pico and not unknown:
        return ""
    more = f" and {words.counted(unknown, 'call')} of unknown cost" if unknown else ""
    return f"Grading cost {format_usd(pico)}{more}; it is in no contestant's cost."


def _head(head: Head) -> str:
    if not head.title:
        return f'<th scope="col" style="{CELL};font-weight:400">{_axis()}</th>'
    align = "right" if head.is_number else "left"
    return (
        f'<th scope="col" title="{_safe(head.help)}" style="{CELL};text-align:{align};font-weight:600;opacity:.8">'
        f"{_safe(head.title, 24)}</th>"
    )


def _axis() -> str:
    marks = "".join(
        f'<span style="position:absolute;left:{100 * tick:g}%;transform:translateX(-50%);font-size:.75rem;opacity:.75">'
        f"{tick:g}</span>"
        for tick in TICKS
    )
    return f'<div style="{PLOT}" aria-hidden="true">{marks}</div>'


def _row(line: ContestantScore, graders: GraderMeans, shown: int) -> str:
    numbers = [_means(line, graders, n) for n in range(shown)]
    cost = "unknown" if line.cost_per_row is None else format_usd(round(1_000 * line.cost_per_row))
    cut = f"{line.cut:,}" if line.cut else "–"
    rest = [*numbers, cost, words.seconds(line.p50_ms), words.seconds(line.p95_ms), _coverage(line.coverage), cut]
    name = (
        f'<th scope="row" style="{CELL};text-align:left;font-weight:600"><span style="display:inline-block;width:.7rem;'
        f"height:.7rem;border-radius:50%;background:{_safe(line.colour)};margin-right:.45rem;vertical-align:-.05em"
        f'"></span><span title="{_safe(line.label)}">{_safe(line.label, 44)}</span></th>'
    )
    rank = "–" if line.left_out else rank_words(line) or "–"
    return (
        f'<tr>{name}<td style="{NUMBER}">{rank}</td><td style="{CELL}">{_drawn(line)}</td>'
        f'<td style="{NUMBER}">{_score(line)}</td><td style="{NUMBER}">{_behind(line)}</td>'
        + "".join(f'<td style="{NUMBER}">{_safe(text)}</td>' for text in rest)
        + "</tr>"
    )


def _drawn(line: ContestantScore) -> str:
    """A line from the interval's low end to its high one, and a dot at the score."""
    grid = "".join(
        f'<span style="position:absolute;left:{100 * tick:g}%;top:0;bottom:0;width:1px;background:{FAINT}"></span>'
        for tick in TICKS
    )
    if line.score is None:
        return f'<div style="{PLOT}">{grid}</div>'
    low, high, at = (100 * min(1.0, max(0.0, x)) for x in (line.score.low, line.score.high, line.score.value))
    colour = _safe(line.colour)
    said = f"{line.score.value:.2f}, {line.score.low:.2f} to {line.score.high:.2f}"
    return (
        f'<div style="{PLOT}" role="img" aria-label="{said}" title="{said}">{grid}'
        f'<span style="position:absolute;left:{low:.2f}%;width:{max(high - low, 0):.2f}%;top:50%;height:2px;'
        f'margin-top:-1px;background:{colour}"></span>'
        f'<span style="position:absolute;left:{at:.2f}%;top:50%;width:.6rem;height:.6rem;margin:-.3rem 0 0 -.3rem;'
        f'border-radius:50%;background:{colour}"></span></div>'
    )


def _score(line: ContestantScore) -> str:
    if line.score is None:
        return "not scored"
    ends = f"{line.score.low:.2f} to {line.score.high:.2f}"
    return f'<b>{line.score.value:.2f}</b> <span style="opacity:.75">{ends}</span>'


def _behind(line: ContestantScore) -> str:
    return _safe(points_words(line.to_leader)) or ("–" if line.left_out or line.rank_low != 1 else "leads")


def _means(line: ContestantScore, graders: GraderMeans, grader: int) -> str:
    found = graders.means.get((line.prompt, line.contestant, grader))
    return f"{found[0]:.2f}" if found else "–"


def _coverage(share: float) -> str:
    """Rounded down: what is not whole is never said to be."""
    return f"{int(share * 100 + 1e-9)} %"


def _safe(text: str, limit: int = 300) -> str:
    flat = " ".join(words.plain(text).split())
    return html.escape(flat if len(flat) <= limit else f"{flat[: limit - 1]}…")
