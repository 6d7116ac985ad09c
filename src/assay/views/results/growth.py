"""Adding to a run: a row of actions, each with a dialog that says what it costs before it starts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_UP, Decimal

import streamlit as st

from assay.datasets.table import ReadOptions
from assay.domain.contestant import Contestant, Prompt
from assay.errors import AssayError
from assay.money import format_usd, from_pico, to_pico
from assay.views import components, words
from assay.views.parameters import parameters_popover
from assay.views.routing import routing_popover
from assay.workbench.datasets import importing
from assay.workbench.results.cells import RunRecord
from assay.workbench.running import growth
from assay.workbench.running.growth import Growth, GrowthEstimate
from assay.workbench.session import Session

TYPES = ["csv", "tsv", "txt", "xlsx", "xls", "ods", "json", "jsonl", "ndjson", "parquet"]
CENT, SMALL_STEP = Decimal("0.01"), Decimal("0.000001")
"""Budgets from a dollar up are proposed in cents, smaller ones in millionths."""


def actions(session: Session, run: RunRecord) -> None:
    """The buttons that let a run at rest grow."""
    choices: tuple[tuple[str, str, Callable[[Session, RunRecord], None]], ...] = (
        ("Add contestant", "person_add", _contestants),
        ("Add prompt", "edit_note", _prompt),
        ("More samples", "repeat", _samples),
        ("Add rows", "playlist_add", _rows),
    )
    with st.container(horizontal=True):
        for name, icon, dialog in choices:
            if st.button(name, key=f"grow.{icon}", icon=f":material/{icon}:", on_click=forget):
                dialog(session, run)


def rows_dialog(session: Session, run: RunRecord, wanted: int) -> None:
    """Opens the dialog for more rows with their number, all together, filled in."""
    forget()
    _rows(session, run, wanted)


def forget() -> None:
    """Every dialog opens empty."""
    for key in [key for key in st.session_state if str(key).startswith("grow.in.")]:
        del st.session_state[key]


@st.dialog("Add contestant", width="large")
def _contestants(session: Session, run: RunRecord) -> None:
    models = components.model_picker(session, key="grow.in.models", default=[])
    params, provider = growth.shared_settings(run.plan)
    same = False
    if params or provider:
        said = ", ".join(f"{name} {value}" for name, value in (params | provider).items())
        same = st.toggle(f"Set like the others: {words.label(said, 120)}", value=True, key="grow.in.same")
    variant, unknown = "", same
    if not same:
        with st.container(horizontal=True):
            params, provider, unknown = parameters_popover(session, models, key="grow.in.params")
            variant, routing = routing_popover(session, models, key="grow.in.routing", allow_unknown=unknown)
            provider |= routing
    chosen = tuple(Contestant(model, params, provider, variant) for model in models)  # type: ignore[arg-type]
    growing = Growth(contestants=chosen, allow_unknown=unknown) if chosen else None
    _bar(session, run, growing, "Choose at least one model.")


@st.dialog("Add prompt", width="large")
def _prompt(session: Session, run: RunRecord) -> None:
    last = run.plan.prompts[-1]
    name = st.text_input("Name", key="grow.in.name", placeholder=f"prompt {len(run.plan.prompts) + 1}", width=320)
    system = st.text_area("System", value=last.system, key="grow.in.system", height=70)
    user = st.text_area("Prompt", value=last.user, key="grow.in.user", height=140)
    prompt = Prompt(user or "", system or "", name or "")
    unchanged = prompt.key in {known.key for known in run.plan.prompts}
    _bar(
        session,
        run,
        None if unchanged else Growth(prompts=(prompt,)),
        "Change the text: the run has this prompt already.",
    )


@st.dialog("More samples")
def _samples(session: Session, run: RunRecord) -> None:
    now = run.plan.samples
    if now >= growth.MAX_SAMPLES:
        st.info(f"The run has {now} answers per cell, the most that there can be.")
        return
    wanted = st.number_input(
        "Answers per cell",
        now + 1,
        growth.MAX_SAMPLES,
        value=min(now + 2, growth.MAX_SAMPLES),
        key="grow.in.samples",
        help="All together; those that are there stay.",
    )
    st.caption(f"Now {now}.")
    _bar(session, run, Growth(samples=int(wanted)))


@st.dialog("Add rows", width="large")
def _rows(session: Session, run: RunRecord, wanted_rows: int | None = None) -> None:
    have, there = run.plan.row_count, run.dataset.row_count
    if wanted_rows is not None and wanted_rows > there:
        st.info(
            f"About {wanted_rows:,} rows are needed in all; {words.label(run.dataset.name)} has {there:,}. "
            "Drop a file with the others."
        )
    upload = st.file_uploader(
        "A file with further rows", type=TYPES, key="grow.in.file", max_upload_size=session.settings.upload_limit_mb
    )
    st.caption("Rows whose key the run has already stay as they are; a row that was changed is named and left out.")
    if upload is not None:
        try:
            with st.spinner("Reading the file"):
                dataset = importing.import_upload(session, upload, filename=upload.name, options=ReadOptions()).dataset
        except AssayError as error:
            components.show_error(error)
            return
        _bar(session, run, Growth(dataset=dataset.id))
    elif have < there:
        wanted = st.number_input(
            f"or rows of {words.label(run.dataset.name)}",
            have + 1,
            there,
            value=there if wanted_rows is None else min(there, max(have + 1, wanted_rows)),
            key="grow.in.rows",
            help=f"The first rows, all together; the run has {have:,} of {there:,}.",
        )
        _bar(session, run, Growth(rows=int(wanted)))
    else:
        _bar(session, run, None, f"The run has all {there:,} rows of its dataset. Drop a file with further ones.")


# -- what it costs, and Start --------------------------------------------------------------------------------------


def _bar(session: Session, run: RunRecord, wanted: Growth | None, missing: str = "") -> None:
    """What the growth sends and costs, the budget, and Start; wanted None: `missing` says what is to be chosen."""
    found = None
    if wanted is None:
        st.caption(missing)
    else:
        try:
            found = growth.estimate_growth(session, run.id, wanted)
        except AssayError as error:
            components.show_error(error)
    budget = None
    if found is not None:
        for note in found.notes:
            st.caption(f":material/info: {words.label(note, 400)}")
        place = st.empty()
        budget = _budget(found)
        place.markdown(_summary(found, found.never_words(None if budget is None else to_pico(budget))))
    start = st.button("Start", key="grow.start", type="primary", icon=":material/play_arrow:", disabled=found is None)
    if start and wanted is not None:
        try:
            growth.grow_run(session, run.id, wanted, budget_usd=budget)
        except AssayError as error:
            components.show_error(error)
        else:
            st.rerun()


def _summary(found: GrowthEstimate, never: str) -> str:
    asked, cost = found.missing, found.missing.cost
    new = found.cells - found.cells_before
    older = asked.calls - found.added.calls
    cells = f"{new:,} new cells" + (f" and {older:,} that were missing" if older else "")
    judges = f" and {asked.judge_calls:,} judge calls" if asked.judge_calls else ""
    money = "price unknown"
    if cost.expected is not None:
        low, high = format_usd(cost.low), format_usd(cost.high)
        money = f"about **{format_usd(cost.expected)}** ({low} to {high}, {never})"
    return f"{cells}: **{asked.calls:,} calls**{judges} · {money} · about {words.duration(asked.seconds)}".replace(
        "$", "\\$"
    )


def _budget(found: GrowthEstimate) -> Decimal | None:
    """The new budget; None leaves the present one."""
    if found.budget_pico is None:
        return None
    proposed = found.budget_pico if found.fits else found.proposed_budget_pico
    exact = from_pico(found.budget_pico if proposed is None else proposed)
    shown = exact.quantize(CENT if exact >= 1 else SMALL_STEP, ROUND_UP)
    spent, now = format_usd(found.committed_pico), format_usd(found.budget_pico)
    given = st.number_input(
        "Budget of the run, USD",
        min_value=0.0,
        value=float(shown),
        format="%.2f" if exact >= 1 else "%.6f",
        width=240,
        key=f"grow.in.budget.{shown}",
        help="Never passed; what is spent already counts.",
    )
    more = "" if found.fits else " Raised so that the missing cells surely fit."
    st.caption(f"Spent so far {spent} of {now}.{more}".replace("$", "\\$"))
    amount = Decimal(str(given))
    return None if amount == shown and found.fits else amount
