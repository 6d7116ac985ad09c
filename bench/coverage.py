"""How often intervals hold the truth, and how often a claim is wrong: the table of `docs/statistics.md`.

    python bench/coverage.py            # minutes; --quick: seconds

Fixed seeds, so that two runs print the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "stats"))

import simulations as sim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A tenth of the draws.")
    many = 0.1 if parser.parse_args().quick else 1.0
    for title, lines in TABLES.items():
        print(f"\n## {title}\n", flush=True)
        for line in lines(lambda draws: max(20, int(draws * many))):
            print(line, flush=True)


Draws = Callable[[int], int]


def row(*cells: object) -> str:
    return "| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def rates(_: Draws) -> Iterator[str]:
    yield row("n", "mean coverage", "lowest", "mean width", "width of statsmodels' Wilson")
    yield "|---:|---:|---:|---:|---:|"
    for n in sim.SIZES:
        found = [sim.rate_coverage(rate, n) for rate in sim.RATES]
        oracle = sum(sim.wilson_width(rate, n) for rate in sim.RATES) / len(sim.RATES)
        yield row(
            n,
            sim.mean([f.coverage for f in found]),
            min(f.coverage for f in found),
            sim.mean([f.width for f in found]),
            oracle,
        )


def means(draws: Draws) -> Iterator[str]:
    yield row("scores", "n", "coverage", "mean width", "of Student's t: coverage", "mean width")
    yield "|---|---:|---:|---:|---:|---:|"
    for name in sim.GRADED:
        for n in sim.SIZES:
            ours, plain = sim.mean_coverage(name, n, draws(2_000))
            yield row(name, n, ours.coverage, ours.width, plain.coverage, plain.width)


def paired_rates(draws: Draws) -> Iterator[str]:
    yield row("n", "mean coverage", "lowest", "mean width", "width of evalstats' Tango, corrected by 1/8")
    yield "|---:|---:|---:|---:|---:|"
    for n in sim.SIZES:
        found = [sim.paired_rate_coverage(*rates, n, draws(4_000)) for rates in sim.PAIRED_RATES]
        oracle = sim.mean([sim.corrected_tango_width(*rates, n) for rates in sim.PAIRED_RATES])
        yield row(
            n,
            sim.mean([f.coverage for f in found]),
            min(f.coverage for f in found),
            sim.mean([f.width for f in found]),
            oracle,
        )


def paired_means(draws: Draws) -> Iterator[str]:
    yield row("differences", "n", "coverage", "mean width", *(f"error of {name}" for name in sim.RIVALS))
    yield "|---|---:|---:|---:|" + "---:|" * len(sim.RIVALS)
    for name in sim.DIFFERENCES:
        for n in (10, 20, 50, 100, 500):
            ours, rivals = sim.paired_mean_coverage(name, n, draws(2_000))
            yield row(name, n, ours.coverage, ours.width, *rivals)


def clusters(draws: Draws) -> Iterator[str]:
    yield row("clusters of 2 to 40 rows", "rate", "coverage", "mean width", "of rows alone: coverage")
    yield "|---:|---:|---:|---:|---:|"
    for groups in (5, 12, 30, 100):
        for rate in (0.02, 0.1, 0.5, 0.9):
            ours, alone = sim.cluster_coverage(rate, groups, draws(2_000))
            yield row(groups, rate, ours.coverage, ours.width, alone.coverage)
    yield ""
    yield row("clusters", "true rates", "coverage of the difference", "mean width")
    yield "|---:|---|---:|---:|"
    for groups in (5, 12, 30, 100):
        for pair in ((0.5, 0.5), (0.9, 0.8), (0.98, 0.9)):
            found = sim.paired_cluster_coverage(*pair, groups, draws(2_000))
            yield row(groups, f"{pair[0]}, {pair[1]}", found.coverage, found.width)


def winners(draws: Draws) -> Iterator[str]:
    yield row("n", "k", "winner's plain interval holds", "of the best of k")
    yield "|---:|---:|---:|---:|"
    for n in (50, 200):
        for k in (2, 8):
            yield row(n, k, *sim.winner_coverage(0.8, n, k, draws(600)))


def errors(draws: Draws) -> Iterator[str]:
    yield row("equal contestants", "n", "scores", "some difference called real", "one called best")
    yield "|---:|---:|---|---:|---:|"
    for k in (2, 4, 8):
        for n in (50, 200):
            for kind in ("0/1", "graded"):
                yield row(k, n, kind, *sim.family_errors(k, n, kind, draws(600)))


def claims(draws: Draws) -> Iterator[str]:
    yield row("truth", "n", "claim", "said in")
    yield "|---|---:|---|---:|"
    for n in (100, 200, 500):
        yield row("15 points ahead of two others", n, "best", sim.best_is_found(n, draws(400)))
    for n in (100, 200, 500, 1_000):
        yield row("equal and cheap", n, "at most 5 points worse", sim.not_worse_is_said(0.0, n, draws(400)))
    for n in (100, 500, 1_000):
        yield row("6 points worse and cheap", n, "at most 5 points worse", sim.not_worse_is_said(0.06, n, draws(600)))
        yield row("8 points worse and cheap", n, "at most 5 points worse", sim.not_worse_is_said(0.08, n, draws(400)))
    for skipped in (0.045, 0.15):
        for n in (50, 200, 500):
            what = f"equal; one skips the hardest {skipped * 100:g} % of its rows"
            yield row(what, n, "best", sim.skipper_is_best(skipped, n, draws(600)))


def sequences(draws: Draws) -> Iterator[str]:
    yield row("looked at after each of 1,000 rows", "missed at some look", "width at 1,000 beside fixed")
    yield "|---|---:|---:|"
    for name, missed, wider in sim.sequence_misses(draws(2_000)):
        yield row(name, missed, wider)


def stopping(draws: Draws) -> Iterator[str]:
    yield row("contestants' true rates", "rows", "same winner", "answers saved")
    yield "|---|---:|---:|---:|"
    for truth, n in sim.STOPPED:
        yield row(", ".join(map(str, truth)), n, *sim.early_stopping(truth, n, draws(100)))


TABLES: dict[str, Callable[[Draws], Iterator[str]]] = {
    "Rates, 0.02 to 0.98": rates,
    "Graded means": means,
    "Differences of rates": paired_rates,
    "Differences of graded means": paired_means,
    "Clusters, correlation 0.2 within": clusters,
    "The winner's own interval, all at a true rate of 0.8": winners,
    "False claims among equals": errors,
    "Claims": claims,
    "Valid at every look": sequences,
    "Stopping early": stopping,
}

if __name__ == "__main__":
    main()
