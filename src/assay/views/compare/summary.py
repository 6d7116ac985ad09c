"""What changed since the baseline, as one paragraph of plain text."""

from __future__ import annotations

from assay.stats.sentences import p_words
from assay.views import words
from assay.views.compare.metrics import amount, difference_words
from assay.workbench.results.pairing import Pairing


def summary(pair: Pairing) -> str:
    """The paragraph: scores with interval, counts of rows, cost and latency, and what differs between the two."""
    score = pair.score
    names = f"{pair.b.label} ({pair.b.run.name}) against the baseline {pair.a.label} ({pair.a.run.name})"
    parts = [f"{_flat(names)}:"]
    if score.comparison is None:
        parts.append("no row has a score of both.")
    else:
        found = score.comparison.difference
        family = len([metric for metric in pair.metrics if metric.comparison])
        parts.append(
            f"score {amount(score, score.after)} instead of {amount(score, score.before)} on "
            f"{words.counted(score.n, 'row')}, {difference_words(score)}, {p_words(found, family)}; "
            f"{found.better:,} rows better, {found.ties:,} the same, {found.worse:,} worse."
        )
    for metric in pair.metrics:
        if metric.kind != "score" and metric.after is not None:
            what = f"{metric.name} {amount(metric, metric.after)} instead of {amount(metric, metric.before)}"
            parts.append(f"{what}{f', {difference_words(metric)}' if metric.ratio else ''}.")
    if pair.changes:
        said = "; ".join(f"{name.lower()} {was} → {now}" for name, was, now in pair.changes)
        parts.append(f"What differs: {_flat(said)}.")
    return " ".join(parts)


def _flat(text: str) -> str:
    return " ".join(words.plain(text).split())
