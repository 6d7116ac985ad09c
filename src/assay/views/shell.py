"""The entry script of every page: page config, navigation, and the frame in the sidebar."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from assay.errors import AssayError
from assay.money import format_usd, to_pico
from assay.places import PAGES
from assay.views import components, words
from assay.views.components import show_error
from assay.views.resources import get_session
from assay.workbench.running import runs
from assay.workbench.session import Session
from assay.workbench.spending import spend

GATEWAYS = {"openrouter": "OpenRouter", "sandbox": "Sandbox"}
EVERY_S = 4.0


def frame(session: Session) -> None:
    """Below the navigation: the gateway, this month's spend, runs in progress; renewed while there are some."""
    live = bool(runs.list_runs(session, limit=1, live_only=True))

    @st.fragment(run_every=EVERY_S if live else None)
    def below() -> None:
        with components.errors_in_words():
            _spend_line(session)
            for run in runs.list_runs(session, limit=5, live_only=True):
                share = run.done / run.cells if run.cells else 0.0
                st.page_link(
                    st.session_state["shell.pages"]["results"],
                    label=f"{share:.0%} · {words.label(run.name, 24)}",
                    icon=":material/progress_activity:",
                    query_params={"run": run.id},
                    help=words.label(run.name, 200),
                )

    with st.sidebar:
        if session.is_sandbox:
            st.warning("Sandbox: simulated answers, invented prices", icon=":material/science:")
        else:
            name = GATEWAYS.get(session.gateway.name, session.gateway.name)
            st.badge(words.label(name), icon=":material/cloud_done:", color="green")
        below()


def _spend_line(session: Session) -> None:
    month = spend.this_month(session)  # the budget's month: of UTC
    budget = session.settings.monthly_budget_usd
    limit = None if budget is None else to_pico(budget)
    text = f"This month {spend.in_words(month)}".replace("$", "\\$")
    if limit:
        st.progress(min(1.0, month.known_pico / limit), text=f"{text} of \\{format_usd(limit)}")
    else:
        st.caption(text)


def main() -> None:
    """Runs the chosen page inside the frame."""
    st.set_page_config(page_title="Assay", page_icon=_icon(), layout="wide")
    st.logo(_wordmark(), size="large")
    pages = {
        "playground": st.Page(PAGES / "playground.py", title="Playground", icon=":material/forum:", default=True),
        "batch": st.Page(PAGES / "batch.py", title="Batch evals", icon=":material/table_rows:"),
        "results": st.Page(PAGES / "results.py", title="Results", icon=":material/leaderboard:"),
        "compare": st.Page(PAGES / "compare.py", title="Compare", icon=":material/compare:"),
        "datasets": st.Page(PAGES / "datasets.py", title="Datasets", icon=":material/dataset:"),
        "prompts": st.Page(PAGES / "prompts.py", title="Prompts", icon=":material/library_books:"),
        "spend": st.Page(PAGES / "spend.py", title="Spend", icon=":material/payments:"),
        "models": st.Page(PAGES / "models.py", title="Models", icon=":material/database:"),
        "settings": st.Page(PAGES / "settings.py", title="Settings", icon=":material/settings:"),
    }
    st.session_state["shell.pages"] = pages
    work, keep = ("playground", "batch", "results", "compare"), ("datasets", "prompts", "spend", "models", "settings")
    chosen = st.navigation({"Work": [pages[n] for n in work], "Keep": [pages[n] for n in keep]})
    try:
        session = get_session()
        frame(session)
    except AssayError as error:
        show_error(error)
        st.stop()
    chosen.run()


def _icon() -> Path:
    """The icon of the browser's tab: a file of our own, because Streamlit's symbols would be fetched from outside."""
    return Path(__file__).resolve().parent / "icon.png"


def _wordmark() -> str:
    """The wordmark as an SVG that suits both themes."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 132 32" width="132" height="32">'
        '<rect x="2" y="5" width="22" height="22" rx="6" fill="#6366f1"/>'
        '<path d="M8 21 L13 10 L18 21 M10 17.5 H16" stroke="#fff" stroke-width="2.2" fill="none" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
        '<text x="33" y="23" font-family="Source Sans, sans-serif" font-size="21" font-weight="700" fill="#6366f1">'
        "Assay</text></svg>"
    )


main()
