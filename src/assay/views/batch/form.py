"""The batch page: four blocks that end in a draft, and the bar that says what Start will do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import streamlit as st

from assay.domain.contestant import Contestant, Prompt
from assay.errors import AssayError
from assay.money import format_usd, format_usd_up
from assay.prompts.template import convert, detect_foreign, is_known, prompt_variables
from assay.runs.estimate import RunEstimate
from assay.views import components, state, words
from assay.views.batch.grading import graders
from assay.views.batch.source import Source, block
from assay.views.parameters import parameters_popover
from assay.views.prompts import pickers
from assay.views.routing import in_words, routing_popover
from assay.views.spend.money_table import dollars, money_table
from assay.workbench.datasets import kept
from assay.workbench.running import budgets, runs
from assay.workbench.running.review import Review, review
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session

MODES = {"normal": "Now", "floor": "Now, cheapest provider", "flex": "Flex", "batch": "By tomorrow (batch)"}


def page(session: Session) -> None:
    """The whole page."""
    if seed := state.take_seed():
        _plant(seed)
    _live(session)
    st.subheader("1 · Data", anchor=False)
    source = block(session)
    if source is None:
        _waiting()
        return
    st.subheader("2 · Prompts", anchor=False)
    prompts, mapping = _prompts(session, source)
    st.subheader("3 · Contestants and graders", anchor=False)
    models = components.model_picker(session, key="batch.models", default=components.default_models(session))
    with st.container(horizontal=True):
        params, provider, unknown = parameters_popover(session, models, key="batch.params")
        variant, routing = routing_popover(session, models, key="batch.routing", allow_unknown=unknown)
        provider |= routing
    if provider:
        st.caption(f":material/alt_route: {words.label(in_words(provider), 300)}")
    contestants = tuple(Contestant(name, params, provider, variant) for name in models)  # type: ignore[arg-type]
    specs = graders(session, source)
    st.subheader("4 · Limits", anchor=False)
    limits = _limits(source)
    draft = RunDraft(
        dataset_id=source.dataset.id,
        prompts=prompts,
        contestants=contestants,
        graders=specs,
        mapping=mapping,
        expected_column=source.expected,
        allow_unknown=unknown,
        **limits,
    )
    found = review(session, draft)
    _preview(found)
    _bar(session, found)


def _plant(seed: state.BatchSeed) -> None:
    """Takes over what another page sent: versions of the library, or else a text."""
    if seed.library:
        st.session_state["batch.library"] = list(seed.library)
        st.session_state["batch.versions"] = 0
    else:
        st.session_state["batch.prompt.0"] = seed.prompt.user
        st.session_state["batch.system"] = seed.prompt.system
    if seed.models:
        st.session_state["batch.models"] = list(seed.models)
    st.session_state["batch.seeded"] = not seed.library


def _waiting() -> None:
    """Before there is data: shows the prompt that another page has sent."""
    sent = st.session_state.get("batch.prompt.0") if st.session_state.get("batch.seeded") else None
    if sent:
        st.info("Your prompt is here. Choose the rows for its variables.", icon=":material/table_rows:")
        st.code(words.plain(sent), language=None, wrap_lines=True)


def _live(session: Session) -> None:
    for run in runs.list_runs(session, limit=5, live_only=True):
        share = run.done / run.cells if run.cells else 0.0
        st.page_link(
            st.session_state["shell.pages"]["results"],
            icon=":material/progress_activity:",
            label=f"Running: {words.label(run.name, 60)} · {share:.0%}",
            query_params={"run": run.id},
        )


def _prompts(session: Session, source: Source) -> tuple[tuple[Prompt, ...], dict[str, str]]:
    example = source.example
    names = source.dataset.columns
    wanted = example.user if example else _first_template(session, source)
    if not st.session_state.get("batch.seeded") and st.session_state.get("batch.for") != source.dataset.id:
        st.session_state["batch.prompt.0"] = wanted
        st.session_state["batch.system"] = example.system if example else ""
    st.session_state["batch.for"] = source.dataset.id
    st.caption("Columns to use: " + " ".join(f"`{{{{{words.plain(n).replace('`', '')}}}}}`" for n in names[:30]))
    picked = pickers.library_picker(session, key="batch.library", on_change=partial(_picked, wanted))
    if not picked and st.session_state.get("batch.versions") == 0:
        st.session_state["batch.versions"] = 1
    system = "" if st.session_state.get("batch.versions") == 0 else _system()
    count = int(
        st.number_input(
            "Versions written here" if picked else "Versions",
            0 if picked else 1,
            5,
            key="batch.versions",
            width=180,
            persist_state="session",
        )
    )
    texts = [
        st.text_area(
            "Prompt" if count == 1 else f"Prompt {n + 1}", key=f"batch.prompt.{n}", height=120, persist_state="session"
        )
        or ""
        for n in range(count)
    ]
    for n, text in enumerate(texts):
        if found := detect_foreign(text, names):
            st.button(
                f"Turn {', '.join(words.label(f) for f in found)} into double braces",
                key=f"batch.convert.{n}",
                on_click=_convert,
                args=(n, names),
            )
    several = count + len(picked) > 1
    written = [Prompt(t, system, f"prompt {n}" if several else "") for n, t in enumerate(texts, 1)]
    if written:
        pickers.save_popover(session, written, key="batch.keep")
    prompts = (*written, *picked)
    return prompts, _mapping(prompts, names)


def _system() -> str:
    with st.expander("System", icon=":material/psychology_alt:"):
        return (
            st.text_area(
                "System text", key="batch.system", height=80, label_visibility="collapsed", persist_state="session"
            )
            or ""
        )


def _picked(suggested: str) -> None:
    """Picking from the library puts away the text that the page suggested, unless somebody changed it."""
    chosen, count = st.session_state.get("batch.library"), st.session_state.get("batch.versions", 1)
    if chosen and count == 1 and st.session_state.get("batch.prompt.0") == suggested:
        st.session_state["batch.versions"] = 0


def _first_template(session: Session, source: Source) -> str:
    """The column that is most likely the question: by its name, or else the one with the longest texts."""
    from assay.datasets.roles import guess_roles, wordiest

    named = guess_roles(source.dataset.columns).get("prompt")
    return f"{{{{{named or wordiest(kept.dataset_rows(session, source.dataset.id), besides=source.expected)}}}}}"


def _convert(place: int, columns: tuple[str, ...]) -> None:
    key = f"batch.prompt.{place}"
    st.session_state[key] = convert(st.session_state[key], columns)


def _mapping(prompts: tuple[Prompt, ...], columns: tuple[str, ...]) -> dict[str, str]:
    """A column for each variable that is no column itself."""
    missing = [n for n in dict.fromkeys(n for p in prompts for n in prompt_variables(p)) if not is_known(n, columns)]
    mapping = {}
    for name in missing:
        found = st.selectbox(
            f"Column for the variable {words.label(name)}",
            ["", *columns],
            key=f"batch.map.{name}",
            format_func=lambda c: words.plain(c) or "choose",
            width=320,
        )
        if found:
            mapping[name] = found
    return mapping


def _limits(source: Source) -> dict[str, Any]:
    first, second, third, fourth = st.columns(4)
    samples = first.number_input("Samples per cell", 1, 20, key="batch.samples", help="Answers to each prompt.")
    rows = second.number_input(
        "Rows",
        1,
        source.dataset.row_count,
        value=source.dataset.row_count,
        key=f"batch.rows.{source.dataset.id}",
        help="The first rows only.",
    )
    budget = third.number_input(
        "Budget, USD",
        min_value=0.0,
        value=None,
        step=0.1,
        key="batch.budget",
        placeholder="the worst case",
        help="Never passed.",
    )
    flight = fourth.number_input("Calls in flight", 1, 512, value=None, key="batch.concurrency", placeholder="adaptive")
    with st.container(horizontal=True):
        cache = st.toggle("Send identical requests once", key="batch.cache")
        zdr = st.toggle("Zero data retention, judges included", key="batch.zdr")
    mode = st.segmented_control(
        "When",
        list(MODES),
        format_func=lambda m: MODES[m],
        default="normal",
        required=True,
        key="batch.mode",
        help="Batch: handed in at the gateway's batch endpoint, answered within a day at about half the price. Flex: a "
        "slower, cheaper tier where a model has one. Floor: the cheapest provider of each model.",
    )
    name = st.text_input("Name", key="batch.name", placeholder="named after data and models", width=420)
    return {
        "mode": mode or "normal",
        "samples": int(samples),
        "limit": int(rows),
        "cache": cache,
        "name": name or "",
        "budget_usd": Decimal(str(budget)) if budget is not None else None,
        "concurrency": int(flight) if flight else None,
        "data_policy": {"zdr": True} if zdr else {},
    }


def _preview(found: Review) -> None:
    with st.expander("The first prompts as they will be sent", icon=":material/visibility:"):
        for messages in found.preview:
            for message in messages:
                st.caption(message.role)
                st.code(words.plain(message.text) or " ", language=None, wrap_lines=True)
        if not found.preview:
            st.caption("They cannot be made yet: below stands what is missing.")


def _bar(session: Session, found: Review) -> None:
    draft = found.draft
    with st.container(border=True):
        for problem in found.problems:
            components.show_error(problem)
        if found.problems:
            _leave_out(found)
        if found.estimate is not None:
            st.markdown(_summary(draft, found.estimate))
            _by_contestant(found.estimate)
            _untold(found)
        for note in found.notes:
            st.caption(f":material/info: {words.label(note, 300)}")
        if found.unheld is not None:
            components.show_error(found.unheld)
        # No callback: it would get the draft of the run before, without what was typed just before the click.
        with st.container(horizontal=True):
            clicked = st.button(
                "Start", key="batch.start", type="primary", icon=":material/play_arrow:", disabled=not found.may_start
            )
            piloted = found.has_pilot and st.button(
                "Pilot: 5 rows first",
                key="batch.pilot",
                icon=":material/science:",
                disabled=not found.may_start,
                help="Asks five rows drawn at random, then pauses and predicts the cost of all. Continue sends "
                "the rest; the five are not asked again.",
            )
    if (clicked or piloted) and found.may_start:
        _start(session, replace(draft, pilot=piloted))
    if started := st.session_state.pop("batch.started", None):
        state.go_to("results", run=started)
    if problem := st.session_state.pop("batch.problem", None):
        components.show_error(problem)


def _leave_out(found: Review) -> None:
    """Where the data policy refuses some of the contestants: goes on with the others."""
    refused = {one.candidate.model for one in found.policy.refused if one.candidate.role == "contestant"}
    left = [c.model for c in found.draft.contestants if c.model_id not in refused]
    if refused and left:
        st.button(
            "Go on without the refused",
            key="batch.leave_out",
            icon=":material/group_remove:",
            on_click=_choose_models,
            args=(left,),
        )


def _untold(found: Review) -> None:
    """Says for whom the gateway does not list whether prompts are trained on."""
    if found.policy.untold:
        names = words.label(", ".join(one.name for one in found.policy.untold), 200)
        st.caption(
            f":material/info: The gateway does not list who trains on prompts for {names}. Each request carries the "
            "ban; where nobody complies the gateway answers with an error, nothing reaches a provider and nothing is "
            "paid."
        )


def _choose_models(models: list[str]) -> None:
    st.session_state["batch.models"] = models


def _by_contestant(found: RunEstimate) -> None:
    """What each contestant is expected to cost, its judges included."""
    if len(found.per_contestant) < 2:
        return
    table = st.expander("By contestant", icon=":material/list:", key="batch.by_contestant", on_change="rerun")
    if not table.open:
        return
    costs = [line.cost for line in found.per_contestant]
    amounts = {
        "Low": [c.low for c in costs],
        "Expected": [c.expected for c in costs],
        "High": [c.high for c in costs],
        "At most, without retries": [c.worst for c in costs],
    }
    columns = {
        "Contestant": [words.plain(line.label) for line in found.per_contestant],
        "Calls": [line.calls for line in found.per_contestant],
        **{name: dollars(picos) for name, picos in amounts.items()},
        "Time": [words.duration(line.seconds) for line in found.per_contestant],
    }
    whole = {"Calls": st.column_config.NumberColumn(format="localized")}
    shown = money_table(columns, amounts, missing="unknown")
    table.dataframe(shown, hide_index=True, key="batch.estimate", column_config=whole)


def _summary(draft: RunDraft, found: RunEstimate) -> str:
    cost = found.cost
    judges = f" and {found.judge_calls:,} judge calls" if found.judge_calls else ""
    money = "price unknown"
    if cost.expected is not None:
        limit = budgets.never_above(cost, budgets.budget_pico(draft.budget_usd))
        most = cost.high
        if limit is not None and most is not None and limit >= cost.expected:
            most = min(most, limit)
        top = format_usd_up(most) if most is not None and most == limit else format_usd(most)
        low, high = (shown.replace("$", "\\$") for shown in (format_usd(cost.low), top))
        never = budgets.never_words(limit, cost).replace("$", "\\$")
        money = f"about **{format_usd(cost.expected)}** ({low} to {high}, {never})".replace("**$", "**\\$")
        if cost.guessed:
            money += ", a guess: no model has answered this prompt yet"
    saved = ""
    if found.saving is not None and found.usual:
        share = found.saving / found.usual
        saved = f" · saves about **\\{format_usd(found.saving)}** ({share:.0%})"
    took = "within a day" if draft.mode == "batch" else f"about {words.duration(found.seconds)}"
    return (
        f"{words.counted(found.rows, 'row')} × {words.counted(found.prompts, 'prompt')} × "
        f"{words.counted(found.contestants, 'model')} × {words.counted(found.samples, 'sample')} = "
        f"**{words.counted(found.calls, 'call')}**{judges} · {money}{saved} · {took}"
    )


def _start(session: Session, draft: RunDraft) -> None:
    """Starts one run: until the page has moved on, further clicks are the same click."""
    if st.session_state.get("batch.started"):
        return
    last = st.session_state.get("batch.last")
    try:
        if last is not None and last[0] == draft and runs.progress(session, last[1]).is_live:
            run_id = last[1]
        else:
            run_id = runs.start_run(session, draft)
    except AssayError as error:
        st.session_state["batch.problem"] = error
        return
    st.session_state["batch.last"] = (draft, run_id)
    st.session_state["batch.started"] = run_id
