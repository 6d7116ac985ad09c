"""The compare page: two lines of any runs, each metric with its interval, and the rows on which they differ.

The address keeps everything: a and b (runs), pa and pb (lines, `PROMPT.CONTESTANT`), show (which rows), row (its key).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from assay.domain.colours import colours_of
from assay.prompts.differences import prompt_diff
from assay.store.cell_costs import Place
from assay.views import words
from assay.views.compare.metrics import lines_html, metrics_html
from assay.views.compare.reader import rows_part
from assay.views.compare.summary import summary
from assay.views.prompts.template import show_difference
from assay.views.state import go_to
from assay.workbench.results.cells import RunRecord, get_run
from assay.workbench.results.compare import RunComparison, compare_runs
from assay.workbench.results.pairing import Pairing, lines_of, pairing
from assay.workbench.running import runs
from assay.workbench.running.runs import RunSummary
from assay.workbench.session import Session

MOST_RUNS = 200


def compare_page(session: Session, given: Mapping[str, str]) -> None:
    """The page for what the address names; what it does not name is proposed."""
    found = [run for run in runs.list_runs(session, limit=MOST_RUNS) if run.done]
    if not found:
        st.info("No run with answers yet. Two runs of the same rows can be compared here.", icon=":material/compare:")
        if st.button("Start a batch eval", type="primary", key="compare.first"):
            go_to("batch")
        return
    a, b = _runs(session, found, given)
    compared = compare_runs(session, a.id, b.id)
    before, after = _lines(a, b, compared, given)
    pair = pairing(session, a.id, b.id, before, after)
    _counts(pair)
    if not pair.rows:
        st.info("No row was asked in both: nothing can be compared.", icon=":material/info:")
        return
    colour = colours_of(b.plan.contestants)[b.plan.contestants[after.contestant].key]
    st.html(metrics_html(pair, colour))
    _changes(pair)
    rows_part(session, pair)
    _all_lines(compared, a, b)
    with st.expander("What changed since the baseline, for a pull request", icon=":material/article:"):
        st.code(summary(pair), language=None, wrap_lines=True)


def _runs(session: Session, found: Sequence[RunSummary], given: Mapping[str, str]) -> tuple[RunRecord, RunRecord]:
    """The two runs that are chosen: the baseline, and the one that is judged."""
    named = {run.id: f"{run.name} · {words.moment(run.created_ms)}" for run in found}
    for name in ("a", "b"):  # an older run than the list holds
        if given.get(name) and given[name] not in named:
            run = get_run(session, given[name])
            named[run.id] = f"{run.name} · {words.moment(run.created_ms)}"
    later = given.get("b") or found[0].id
    earlier = given.get("a") or _baseline(found, later)
    left, right, turn = st.columns([6, 6, 1], vertical_alignment="bottom")
    with left:
        a = _choice("a", ":gray-badge[Baseline]", list(named), named, earlier)
    with right:
        b = _choice("b", "Compared with it", list(named), named, later)
    turn.button("", key="compare.turn", icon=":material/swap_horiz:", help="Turn round", on_click=_turn, args=(a, b))
    return get_run(session, a), get_run(session, b)


def _baseline(found: Sequence[RunSummary], later: str) -> str:
    """The run before it; the first of all is compared with itself: its contestants with one another."""
    ids = [run.id for run in found]
    at = ids.index(later) if later in ids else 0
    return ids[at + 1] if at + 1 < len(ids) else later


def _turn(a: str, b: str) -> None:
    query = st.query_params
    lines = query.get("pa"), query.get("pb")
    query["a"], query["b"] = b, a
    for name, value in zip(("pb", "pa"), lines, strict=True):
        if value:
            query[name] = value
        else:
            query.pop(name, None)
    query.pop("row", None)


def _lines(a: RunRecord, b: RunRecord, compared: RunComparison, given: Mapping[str, str]) -> tuple[Place, Place]:
    """The contestants with their prompt versions that are chosen; proposed: the pair that fell the most."""
    lines = [{_key(place): label for place, label in lines_of(run).items()} for run in (a, b)]
    worst = _proposed(compared, a.id == b.id)
    left, right, _ = st.columns([6, 6, 1], vertical_alignment="bottom")
    with left:
        before = _choice("pa", "Its contestant", list(lines[0]), lines[0], given.get("pa") or worst[0])
    with right:
        after = _choice("pb", "Contestant", list(lines[1]), lines[1], given.get("pb") or worst[1])
    return _place(before), _place(after)


def _proposed(compared: RunComparison, same_run: bool) -> tuple[str, str]:
    if same_run:
        keys = [_key(line.place_b) for line in compared.lines]
        return keys[0], keys[1] if len(keys) > 1 else keys[0]
    known = [line for line in compared.lines if line.difference is not None]
    if not known:
        return "0.0", "0.0"
    worst = min(known, key=lambda line: line.difference.value if line.difference else 0.0)
    return _key(worst.place_a), _key(worst.place_b)


def _key(place: Place) -> str:
    return f"{place.prompt}.{place.contestant}"


def _place(key: str) -> Place:
    prompt, contestant = key.split(".")
    return Place(int(prompt), int(contestant))


def _choice(name: str, label: str, options: list[str], named: Mapping[str, str], wanted: str) -> str:
    """A picker whose choice stands in the address; what is not among its options is its first one."""
    key = f"compare.{name}"
    st.session_state[key] = wanted if wanted in options else options[0]

    def keep() -> None:
        st.query_params[name] = st.session_state[key]
        for other in {"a": ("pa", "pb", "row"), "b": ("pa", "pb", "row")}.get(name, ("row",)):
            st.query_params.pop(other, None)

    chosen = st.selectbox(label, options, key=key, format_func=lambda one: words.plain(named[one]), on_change=keep)
    return str(chosen)


def _counts(pair: Pairing) -> None:
    """Which rows are compared, and which are not."""
    parts = [f"{words.counted(len(pair.rows), 'row')} in both"]
    parts += [f"{count:,} only in {of}" for count, of in ((pair.only_a, "the baseline"), (pair.only_b, "the other"))]
    copies = ((pair.doubles_a, "the baseline"), (pair.doubles_b, "the other"))
    parts += [f"{count:,} further cop{'y' if count == 1 else 'ies'} in {of}" for count, of in copies if count]
    if pair.edited:
        parts.append(f"{words.counted(pair.edited, 'row')} with other values")
    st.caption(" · ".join(parts))


def _changes(pair: Pairing) -> None:
    """What differs between the two, and is not a result."""
    if not pair.changes:
        st.caption("Same model, parameters, prompt, graders, dataset and provider.")
        return
    said = [f"**{name}**: {words.label(was, 160)} → {words.label(now, 160)}" for name, was, now in pair.changes]
    st.markdown("Differs: " + " · ".join(said))
    before, after = (side.run.plan.prompts[side.place.prompt] for side in (pair.a, pair.b))
    if before.key != after.key:
        with st.expander("Difference of the prompts", icon=":material/difference:"):
            show_difference(prompt_diff(before, after))


def _all_lines(compared: RunComparison, a: RunRecord, b: RunRecord) -> None:
    """Every contestant that both runs have."""
    if a.id == b.id or not compared.lines:
        return
    with st.expander("All contestants of both runs", icon=":material/list:", expanded=len(compared.lines) > 1):
        st.html(lines_html(compared, colours_of(b.plan.contestants)))
        for note in compared.notes:
            st.caption(f":material/info: {words.label(note, 300)}")
        alone = [("the baseline", compared.only_a), ("the other", compared.only_b)]
        for of, names in alone:
            if names:
                st.caption(f"Only in {of}: {words.label(', '.join(names), 300)}.")
