"""The scoreboard of a run: the table with drawn intervals, and every number to sort and to take along."""

from __future__ import annotations

import io
from collections.abc import Sequence

import streamlit as st

from assay.exports.scoreboard import COLUMNS, ContestantScore, points_words, rank_words
from assay.exports.streams import write_table
from assay.money import format_usd
from assay.views import words
from assay.views.results.forest import board_html, grading_words
from assay.views.spend.money_table import dollars, money_table
from assay.workbench.results.cells import RunRecord
from assay.workbench.results.graders import GraderMeans, grader_means
from assay.workbench.session import Session


def scoreboard(session: Session, run: RunRecord, board: Sequence[ContestantScore]) -> None:
    """The scoreboard; its further numbers cost nothing until they are opened."""
    graders = grader_means(session, run.id)
    if grading := grading_words(board):
        st.caption(grading.replace("$", "\\$"))
    st.html(board_html(board, graders))
    more = st.expander("All numbers", icon=":material/table:", key="results.numbers", on_change="rerun")
    if more.open:
        with more:
            numbers_table(board)
            st.download_button(
                "Scoreboard as CSV",
                data=lambda: board_csv(board, graders),
                file_name=f"scoreboard-{run.id}.csv",
                mime="text/csv",
                key="results.board.csv",
                icon=":material/download:",
                on_click="ignore",
            )


def board_csv(board: Sequence[ContestantScore], graders: GraderMeans) -> bytes:
    """Every number of every line, and a column per grader."""
    target = io.BytesIO()
    names = [f"grader {n}: {words.plain(name)}" for n, name in enumerate(graders.names, 1)]

    def means(line: ContestantScore) -> list[float | None]:
        keys = [(line.prompt, line.contestant, n) for n in range(len(names))]
        return [graders.means[key][0] if key in graders.means else None for key in keys]

    write_table(
        target,
        ["contestant", *(column.name for column in COLUMNS), *names],
        [[line.label, *(column.number(line) for column in COLUMNS), *means(line)] for line in board],
    )
    return target.getvalue()


def numbers_table(board: Sequence[ContestantScore]) -> None:
    """Every number of the scoreboard as a table that can be sorted."""

    def ms(value: float | None) -> float | None:
        return None if value is None else value / 1000

    columns = {
        "Contestant": [words.plain(b.label) for b in board],
        "Rank": [rank_words(b) or "–" for b in board],
        "Score": [b.score.value if b.score else None for b in board],
        "95 % interval": [f"{b.score.low:.2f} – {b.score.high:.2f}" if b.score else "not scored" for b in board],
        "To the leader": [points_words(b.to_leader) or "–" for b in board],
        "Pass": [f"{b.passes.value:.0%}" if b.passes else "–" for b in board],
        "Coverage": [f"{b.coverage:.0%}" for b in board],
        "Cost": dollars(b.known_pico for b in board),
        "Per correct": dollars(b.cost_per_correct_pico for b in board),
        "Judging": dollars(b.judging_pico if b.judging_pico or b.judging_unknown else None for b in board),
        "Cut": [b.cut for b in board],
        "p50": [ms(b.p50_ms) for b in board],
        "p95": [ms(b.p95_ms) for b in board],
        "Tokens in": [b.prompt_tokens for b in board],
        "Tokens out": [b.completion_tokens for b in board],
    }
    said = {(n, "Cost"): _cost(b) for n, b in enumerate(board) if b.unknown_calls}
    said |= {(n, "Per correct"): "unknown" for n, b in enumerate(board) if b.unknown_calls and b.correct}
    said |= {(n, "Judging"): _judging(b) for n, b in enumerate(board) if b.judging_unknown}
    table = money_table(columns, ("Cost", "Per correct", "Judging"), said=said)
    config = {
        "Contestant": st.column_config.TextColumn(pinned=True),
        "Score": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f"),
        "Coverage": st.column_config.TextColumn(help="Share of the cells that have a score; errors are missing data."),
        "Cost": st.column_config.NumberColumn(help="Of its own calls, every attempt; what judges cost stands apart."),
        "Judging": st.column_config.NumberColumn(help="What the judges of its answers cost; in no other column."),
        "Cut": st.column_config.NumberColumn(help="Answers that ended at max_tokens: they may be incomplete."),
        "Per correct": st.column_config.NumberColumn(help="Cost for each cell that passed."),
        "p50": st.column_config.NumberColumn(format="%.2f s", help="Half of the answers took at most this long."),
        "p95": st.column_config.NumberColumn(format="%.2f s", help="19 of 20 answers took at most this long."),
        "Tokens in": st.column_config.NumberColumn(format="localized"),
        "Tokens out": st.column_config.NumberColumn(format="localized"),
    }
    st.dataframe(table, hide_index=True, column_config=config, key="results.board", height="auto", placeholder="–")


def _cost(line: ContestantScore) -> str:
    at_most = f", at most {format_usd(line.unknown_bound_pico)} more" if line.unknown_bound_pico else ""
    return f"{format_usd(line.known_pico)} + {line.unknown_calls} unknown{at_most}"


def _judging(line: ContestantScore) -> str:
    return f"{format_usd(line.judging_pico)} + {line.judging_unknown} unknown"
