"""One version of a prompt: text, actions, and the tabs Versions, Runs and Preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from assay.errors import AssayError
from assay.exports.scoreboard import points_words
from assay.prompts.template import prompt_variables
from assay.stats.sentences import p_words
from assay.views import components, state, words
from assay.views.prompts import editor
from assay.views.prompts.template import show_difference, show_prompt, show_source, variable_badges
from assay.workbench import prompts
from assay.workbench.datasets import kept
from assay.workbench.prompts import PromptEventLine, PromptVersion, VersionDuel
from assay.workbench.session import Session

PAGE = 10


def show(session: Session, name: str) -> None:
    """The chosen version of a name."""
    found = prompts.versions(session, name)
    version = _heading(found)
    _actions(session, version, found)
    if problem := st.session_state.pop("prompts.problem", None):
        components.show_error(problem)
    with st.container(horizontal=True, vertical_alignment="center"):
        variable_badges(prompt_variables(version.prompt))
        st.space("stretch")
        st.segmented_control(
            "Show as",
            ["Highlighted", "Source"],
            default="Highlighted",
            key="prompts.source",
            label_visibility="collapsed",
            required=True,
        )
    show_prompt(version.prompt, source=st.session_state["prompts.source"] == "Source")
    tabs = st.tabs(["Versions", "Runs", "Preview"], key="prompts.tab", on_change="rerun")
    for tab, content in zip(tabs, (_versions, _runs, _preview), strict=True):
        if tab.open:
            with tab:
                content(session, version, found)


def _heading(found: Sequence[PromptVersion]) -> PromptVersion:
    """Name, labels and the choice of the version; the newest unless another was chosen."""
    name, numbers = found[0].name, [one.version for one in found]
    key = f"prompts.version.{name}"
    asked = st.query_params.get("version", "")
    if asked.isascii() and asked.isdigit() and int(asked) in numbers:
        st.session_state[key] = int(asked)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(words.label(name, 100), anchor=False, width="content")
        if found[0].archived:
            st.badge("archived", icon=":material/archive:", color="gray")
        st.space("stretch")
        number = st.selectbox(
            "Version",
            numbers,
            key=key,
            width=220,
            label_visibility="collapsed",
            on_change=_chose,
            args=(key,),
            format_func=lambda n: f"Version {n}" + (" (newest)" if n == numbers[0] else ""),
        )
    version = next(one for one in found if one.version == number)
    with st.container(horizontal=True, vertical_alignment="center"):
        for label in version.labels:
            st.badge(label, icon=":material/sell:", color="green" if label == "production" else "violet")
        note = f" · {words.label(version.note, 300)}" if version.note else ""
        st.caption(f"Version {version.version} of {len(found)}, saved {words.moment(version.created_ms)}{note}")
    return version


def _chose(key: str) -> None:
    st.query_params["version"] = str(st.session_state[key])


# -- actions ---------------------------------------------------------------------------------------------------


def _actions(session: Session, version: PromptVersion, found: Sequence[PromptVersion]) -> None:
    with st.container(horizontal=True):
        st.button(
            "Edit",
            key="prompts.edit",
            icon=":material/edit:",
            type="primary",
            on_click=editor.open_version,
            args=(version,),
            help="Into a new version; this one stays.",
        )
        if st.button("Open in playground", key="prompts.to_playground", icon=":material/forum:"):
            state.fill_playground(version)
            state.go_to("playground")
        if st.button("Use in a batch", key="prompts.to_batch", icon=":material/table_rows:"):
            reference = f"{version.name}:{version.version}"
            state.hand_over(state.BatchSeed(version.prompt, (), (reference,)))
            state.go_to("batch")
        with st.popover("Labels", icon=":material/sell:"):
            _labels(session, version, found)
        with st.popover("More", icon=":material/more_horiz:"):
            _more(session, version)


def _labels(session: Session, version: PromptVersion, found: Sequence[PromptVersion]) -> None:
    at = {label: one.version for one in found for label in one.labels}
    st.caption("A label points at exactly one version; moving it is one click.")
    label = st.selectbox(
        "Label",
        list(dict.fromkeys((*prompts.USUAL_LABELS, *at))),
        key="prompts.label",
        accept_new_options=True,
        format_func=lambda one: f"{one} (on version {at[one]})" if one in at else words.plain(one),
    )
    st.button(
        f"Put on version {version.version}",
        key="prompts.label.put",
        type="primary",
        disabled=at.get(label or "") == version.version,
        on_click=_set_label,
        args=(session, version.name, label or "", version.version),
    )
    for one in version.labels:
        st.button(
            f"Take {words.label(one)} off",
            key=f"prompts.label.off.{one}",
            on_click=_set_label,
            args=(session, version.name, one, None),
        )


def _more(session: Session, version: PromptVersion) -> None:
    key = f"prompts.rename.{version.name}"
    st.text_input("Name", version.name, key=key, max_chars=prompts.LONGEST_NAME)
    st.button("Rename", key="prompts.rename", on_click=_rename, args=(session, version.name, key))
    word = "Take out of the archive" if version.archived else "Archive"
    st.button(
        word,
        key="prompts.archive",
        icon=":material/archive:",
        on_click=_archive,
        args=(session, version),
        help="Out of the lists; versions, labels and runs stay.",
    )


def _act(action: Callable[[], object]) -> bool:
    """Does it; whether it could be done. What went wrong is shown on the page."""
    try:
        action()
    except AssayError as error:
        st.session_state["prompts.problem"] = error
        return False
    return True


def _set_label(session: Session, name: str, label: str, version: int | None) -> None:
    _act(lambda: prompts.set_label(session, name, label, version))


def _rename(session: Session, name: str, key: str) -> None:
    new = st.session_state.get(key) or ""
    if _act(lambda: prompts.rename_prompt(session, name, new)):
        st.query_params["prompt"] = new.strip()


def _archive(session: Session, version: PromptVersion) -> None:
    if _act(lambda: prompts.archive_prompt(session, version.name, archived=not version.archived)):
        st.query_params.clear()


# -- versions --------------------------------------------------------------------------------------------------


def _versions(session: Session, version: PromptVersion, found: Sequence[PromptVersion]) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "Version": [one.version for one in found],
            "Labels": [", ".join(one.labels) for one in found],
            "Note": [words.plain(one.note) for one in found],
            "Saved": [words.moment(one.created_ms) for one in found],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        key="prompts.versions",
        height="content" if len(found) < 10 else 380,
        column_config={"Version": st.column_config.NumberColumn(width="small", alignment="left")},
    )
    if len(found) > 1:
        before, after = _chosen_pair(version, found)
        if before is after:
            st.caption("Choose two versions to see what changed.")
        else:
            show_difference(prompts.difference(before, after))
            _duels(session, before, after)
    else:
        st.caption("Edit it into a second version to see what changed.")
    with st.expander("History", icon=":material/history:"):
        for line in prompts.history(session, version.name):
            st.caption(f"{words.moment(line.at_ms)} · {words.label(in_words(line), 400)}")


def _chosen_pair(version: PromptVersion, found: Sequence[PromptVersion]) -> tuple[PromptVersion, PromptVersion]:
    """The two versions to compare: at first the shown one with the one before it."""
    by_number = {one.version: one for one in found}
    numbers, mark = list(by_number), f"{version.name}:{version.version}"
    older = numbers[min(numbers.index(version.version) + 1, len(numbers) - 1)]
    start = (older, version.version) if older != version.version else (version.version, numbers[-2])
    left, right = st.columns(2)
    before = left.selectbox("Changes from version", numbers, index=numbers.index(start[0]), key=f"prompts.from.{mark}")
    after = right.selectbox("to version", numbers, index=numbers.index(start[1]), key=f"prompts.to.{mark}")
    return by_number[before], by_number[after]


def _duels(session: Session, before: PromptVersion, after: PromptVersion) -> None:
    found = prompts.duels(session, before, after)
    if not found:
        st.caption("No run has scored both versions. Use both in one batch to see which is better.")
    for duel in found:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**{words.label(duel.run_name, 80)}**: {words.label(verdict(duel, before, after), 300)}")
            if st.button("Open run", key=f"prompts.duel.{duel.run_id}", type="tertiary", icon=":material/leaderboard:"):
                state.go_to("results", run=duel.run_id)


def verdict(duel: VersionDuel, before: PromptVersion, after: PromptVersion) -> str:
    """What a run says about two versions, and whether that is shown to be real."""
    found = duel.comparison.difference
    rows = f"{found.n:,} row{'' if found.n == 1 else 's'}"
    if not found.better and not found.worse:
        return f"both score {duel.comparison.first.value:.2f} and the same on each of {rows}."
    scores = (
        f"version {after.version} scores {duel.comparison.first.value:.2f}, version {before.version} "
        f"{duel.comparison.second.value:.2f}, on {rows}"
    )
    shown = "is shown to be real" if found.real else "is not shown to be real"
    return f"{scores}; the difference, {points_words(found)} points, {shown} ({p_words(found, 1)})."


def in_words(line: PromptEventLine) -> str:
    """A line of the history."""
    match line.kind:
        case "saved":
            return f"version {line.version} was saved" + (f": {line.detail}" if line.detail else "")
        case "labelled":
            came = f" from version {line.before}" if line.before else ""
            return f"{line.detail} moved{came} to version {line.version}"
        case "unlabelled":
            return f"{line.detail} was taken off version {line.before}"
        case "renamed":
            return f"renamed; it was {line.detail} before"
        case "archived":
            return "archived"
        case "restored":
            return "taken out of the archive"


# -- runs ------------------------------------------------------------------------------------------------------


def _runs(session: Session, version: PromptVersion, _: Sequence[PromptVersion]) -> None:
    import pandas as pd

    total = prompts.count_runs(session, version.name)
    if not total:
        st.caption("No run has used it yet. Use in a batch sends it with a file of rows.")
        return
    pages, key = -(-total // PAGE), f"prompts.runs.{version.name}"
    page = min(max(1, int(st.session_state.get(key) or 1)), pages)
    used = prompts.uses(session, version.name, limit=PAGE, offset=(page - 1) * PAGE)
    frame = pd.DataFrame(
        {
            "Run": [words.plain(u.run_name) for u in used],
            "Version": [u.version for u in used],
            "Score": [u.value for u in used],
            "Pass": ["–" if u.pass_rate is None else f"{u.pass_rate:.0%}" for u in used],
            "Scored": [f"{u.scored:,} of {u.answered:,}" for u in used],
            "Dataset": [words.plain(u.dataset) for u in used],
            "State": [u.state for u in used],
            "Started": [words.moment(u.created_ms) for u in used],
        }
    )
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        key=f"prompts.used.{version.name}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Version": st.column_config.NumberColumn(width="small", alignment="left"),
            "Score": st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="%.2f", help="Mean over rows, all models of the run together."
            ),
            "Scored": st.column_config.TextColumn(help="Answers that have a score, of all answers."),
        },
    )
    if pages > 1:
        st.pagination(pages, key=key)
    st.caption("Select a run to open it. Versions within one run compare; other runs had other rows or models.")
    if event.selection.rows and event.selection.rows[0] < len(used):
        state.go_to("results", run=used[event.selection.rows[0]].run_id)


# -- preview ---------------------------------------------------------------------------------------------------


def _preview(session: Session, version: PromptVersion, _: Sequence[PromptVersion]) -> None:
    stored = {one.id: one for one in kept.list_datasets(session, limit=200)}
    if not stored:
        st.caption("There is no dataset yet. The batch page keeps each file that is dropped on it.")
        if st.button("Drop a file", key="prompts.to_data", icon=":material/upload_file:"):
            state.go_to("batch")
        return
    left, right = st.columns([3, 1])
    chosen = left.selectbox(
        "Dataset",
        list(stored),
        key="prompts.dataset",
        format_func=lambda i: _dataset_line(stored[i]),
    )
    rows = max(1, stored[chosen].row_count)
    row = right.number_input("Row", 1, rows, key=f"prompts.row.{chosen}")
    found = prompts.preview(session, version.prompt, chosen, row=int(row) - 1)
    if found.undefined:
        names = ", ".join(f"{{{{{name}}}}}" for name in found.undefined)
        components.show_error(f"Undefined variables: {names}. Columns there are: {', '.join(found.columns)}.")
        show_prompt(version.prompt, undefined=found.undefined)
    for message in found.messages:
        with st.container(gap="xxsmall"):
            st.caption(message.role.capitalize())
            show_source(message.text)


def _dataset_line(dataset: kept.StoredDataset) -> str:
    return f"{words.plain(dataset.name)}, version {dataset.version}, {dataset.row_count:,} rows"
