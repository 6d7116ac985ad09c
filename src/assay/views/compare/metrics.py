"""The numbers of a comparison as escaped HTML: each with its interval, and the rows that got better or worse."""

from __future__ import annotations

import html
from collections.abc import Mapping

from assay.exports.scoreboard import p_text, points_words
from assay.money import format_usd
from assay.stats.values import Estimate
from assay.views import words
from assay.views.results.forest import CELL, FAINT, NUMBER, TABLE
from assay.workbench.results.compare import LineComparison, RunComparison
from assay.workbench.results.pairing import Metric, Pairing

BETTER = {
    "score": ("better", "worse"),
    "usd": ("cheaper", "dearer"),
    "ms": ("faster", "slower"),
    "tokens": ("shorter", "longer"),
}


def metrics_html(pair: Pairing, colour: str) -> str:
    """A line per metric; differences of scores are drawn around 0."""
    reach = _reach([metric for metric in pair.metrics if metric.comparison])
    heads = ("Metric", "Baseline", "Compared", "", "Difference, 95 % interval", "Rows", "Better", "Same", "Worse", "p")
    body = "".join(_metric(metric, reach, colour) for metric in pair.metrics)
    return _table(heads, body, "Metrics")


def lines_html(compared: RunComparison, colours: Mapping[str, str]) -> str:
    """A line per contestant of both runs."""
    heads = ("Contestant", "Baseline", "Compared", "Difference", "Rows", "Better", "Same", "Worse", "p", "Finding")
    return _table(heads, "".join(_line(line, colours[line.key]) for line in compared.lines), "Contestants")


def amount(metric: Metric, value: float | None) -> str:
    """A value of a metric in its unit."""
    if value is None:
        return "–"
    match metric.kind:
        case "score":
            return f"{value:.2f}"
        case "usd":
            return format_usd(round(value))
        case "ms":
            return words.seconds(value)
    return f"{value:,.0f} tokens"


def difference_words(metric: Metric) -> str:
    """How far the compared line is from the baseline, with the interval; nothing is known: a dash."""
    if metric.comparison is not None:
        return f"{points_words(metric.comparison.difference)} points"
    if metric.ratio is not None:
        return _times(metric.ratio)
    return "too few rows for an interval" if metric.n else "–"


def _times(ratio: Estimate) -> str:
    return f"× {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _table(heads: tuple[str, ...], body: str, name: str) -> str:
    def head(at: int, title: str) -> str:
        align = "left" if at == 0 or title == "Finding" else "right"
        return f'<th scope="col" style="{CELL};text-align:{align};font-weight:600;opacity:.8">{html.escape(title)}</th>'

    row = "".join(head(at, title) for at, title in enumerate(heads))
    return (
        f'<div style="overflow-x:auto" role="region" aria-label="{name}" tabindex="0"><table style="{TABLE}">'
        f"<thead><tr>{row}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _metric(metric: Metric, reach: float, colour: str) -> str:
    better, worse = BETTER[metric.kind]
    comparison = metric.comparison
    p = p_text(comparison.difference.p_adjusted) if comparison else ""
    cells = [
        amount(metric, metric.before),
        amount(metric, metric.after),
        None,
        difference_words(metric),
        f"{metric.n:,}",
        f"{metric.better:,} {better}",
        f"{metric.same:,}",
        f"{metric.worse:,} {worse}",
        p,
    ]
    drawn = _drawn(metric, reach, colour)
    numbers = "".join(
        f'<td style="{CELL}">{drawn}</td>' if text is None else f'<td style="{NUMBER}">{html.escape(text)}</td>'
        for text in cells
    )
    return f'<tr><th scope="row" style="{CELL};text-align:left;font-weight:600">{_safe(metric.name)}</th>{numbers}</tr>'


def _line(line: LineComparison, colour: str) -> str:
    found = line.difference
    numbers = [
        "–" if line.score_a is None else f"{line.score_a:.2f}",
        "–" if line.score_b is None else f"{line.score_b:.2f}",
        points_words(found) or "–",
        f"{line.rows:,}",
        *((f"{found.better:,}", f"{found.ties:,}", f"{found.worse:,}") if found else ("–", "–", "–")),
        p_text(found.p_adjusted) if found else "",
    ]
    chip = (
        f'<span style="display:inline-block;width:.7rem;height:.7rem;border-radius:50%;background:{_safe(colour)};'
        f'margin-right:.45rem"></span>'
    )
    return (
        f'<tr><th scope="row" style="{CELL};text-align:left;font-weight:600">{chip}{_safe(line.label)}</th>'
        + "".join(f'<td style="{NUMBER}">{html.escape(text)}</td>' for text in numbers)
        + f'<td style="{CELL}">{_safe(line.finding)}</td></tr>'
    )


def _reach(metrics: list[Metric]) -> float:
    ends = [
        max(abs(metric.comparison.difference.family_low), abs(metric.comparison.difference.family_high))
        for metric in metrics
        if metric.comparison
    ]
    return max([0.1, *(min(1.0, end) for end in ends)])


def _drawn(metric: Metric, reach: float, colour: str) -> str:
    """The interval of a difference around 0, which stands in the middle."""
    middle = f'<span style="position:absolute;left:50%;top:0;bottom:0;width:1px;background:{FAINT}"></span>'
    box = "position:relative;height:1.15rem;min-width:9rem"
    if metric.comparison is None:
        return f'<div style="{box}"></div>'
    found = metric.comparison.difference
    low, high, at = (
        50 + 50 * max(-1.0, min(1.0, x / reach)) for x in (found.family_low, found.family_high, found.value)
    )
    return (
        f'<div style="{box}" role="img" aria-label="{_safe(points_words(found))}">{middle}'
        f'<span style="position:absolute;left:{low:.2f}%;width:{max(0.0, high - low):.2f}%;top:50%;height:2px;'
        f'margin-top:-1px;background:{_safe(colour)}"></span>'
        f'<span style="position:absolute;left:{at:.2f}%;top:50%;width:.6rem;height:.6rem;margin:-.3rem 0 0 -.3rem;'
        f'border-radius:50%;background:{_safe(colour)}"></span></div>'
    )


def _safe(text: str) -> str:
    return html.escape(" ".join(words.plain(text).split())[:120])
