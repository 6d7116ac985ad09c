"""One row of a run in full: every contestant's answer with prompt, reasoning, grading and call facts."""

from __future__ import annotations

import streamlit as st

from assay.domain.colours import colours_of
from assay.domain.completion import Cost, names_of
from assay.views import components, words
from assay.workbench.results import cells as results
from assay.workbench.results.cells import CellDetail, GridRow, RunRecord
from assay.workbench.session import Session

MARKS = {
    True: ":material/check_circle: pass",
    False: ":material/cancel: fail",
    None: ":material/help: not scored",
}


def cell_panel(session: Session, run: RunRecord, row: GridRow) -> None:
    """The cells of a row, a tab each."""
    if not row.cells:
        st.caption("No contestant has answered this row yet.")
        return
    st.markdown(f"##### Row {words.label(row.key)}")
    names = []
    for cell in row.cells:
        sample = f" #{cell.sample + 1}" if run.plan.samples > 1 else ""
        names.append(words.label(results.label_of(run.plan, cell.prompt, cell.contestant) + sample))
    colours = colours_of(run.plan.contestants)
    for cell, tab in zip(row.cells, st.tabs(names), strict=True):
        with tab:
            detail = results.cell_detail(session, run.id, cell.cell)
            components.dot(colours[detail.contestant.key], detail.label)
            _cell(detail, cell.cell)


def _cell(detail: CellDetail, number: int) -> None:
    record = detail.record
    left, right = st.columns([3, 2])
    with left:
        if record.error:
            components.show_error(record.error)
        if record.note:
            st.caption(f":material/info: {words.label(record.note, 600)}")
        if record.reasoning:
            with st.expander("Reasoning", icon=":material/psychology:"):
                st.text(words.plain(record.reasoning))
        if record.output:
            source = st.toggle("Source", key=f"results.source.{number}")
            components.answer_text(record.output, source=source, key=f"cell_{number}")
        with st.expander("Prompt as sent", icon=":material/chat:"):
            for message in detail.messages:
                st.caption(message.role)
                st.code(words.plain(message.text), language=None, wrap_lines=True)
    with right:
        for score in record.scores:
            value = "" if score.value is None else f" · {score.value:.2f}"
            st.markdown(f"**{words.label(detail.graders[score.grader])}** {MARKS[score.passed]}{value}")
            st.caption(words.label(score.reason, 600))
        for call in record.calls:
            st.caption(
                f"{words.label(call.purpose)} · attempt {call.attempt} · "
                f"{words.label(call.answered_by or call.model)} · "
                f"{words.label(call.provider or 'provider not told')} · {call.outcome or call.state} · "
                f"{words.seconds(call.total_ms)} · first token {words.seconds(call.first_token_ms)} · "
                f"{_tokens(call.prompt_tokens, call.completion_tokens)} · "
                f"{words.cost_words(Cost(call.cost_pico, call.provenance, call.upstream_pico))} · "
                f"{call.finish_reason or ''} · "
                f"{words.label(call.generation_id or '')}".replace("$", "\\$")
            )
            if failed := names_of(call.failed_providers_json):
                st.caption(f":material/alt_route: Failed before it: {words.label(', '.join(failed), 200)}.")


def _tokens(given: int | None, taken: int | None) -> str:
    return "tokens unknown" if given is None or taken is None else f"{given:,} tokens in, {taken:,} out"
