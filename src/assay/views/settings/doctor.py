"""The settings page's look at what may be wrong, and the gateway's own pages."""

from __future__ import annotations

import streamlit as st

from assay.views import words
from assay.workbench.gateway import doctor
from assay.workbench.gateway.doctor import Finding
from assay.workbench.session import Session

ICONS = {"ok": ":material/check_circle:", "warn": ":material/warning:", "fail": ":material/error:"}


def panel(session: Session) -> None:
    """A button that examines everything, what it found, and the links."""
    if st.button(
        "Examine",
        key="settings.doctor",
        icon=":material/stethoscope:",
        help="Key, limits, network, clock, database, disk. Costs nothing.",
    ):
        with st.spinner("Looking at everything"):
            st.session_state["settings.findings"] = list(doctor.examine(session))
    found: list[Finding] = st.session_state.get("settings.findings", [])
    if found:
        odd = [one for one in found if one.state != "ok"]
        (st.warning if odd else st.success)(f"{len(found) - len(odd)} in order, {len(odd)} to look at.")
        for one in sorted(odd, key=lambda f: f.state):
            _line(one)
        with st.expander("What is in order", icon=ICONS["ok"]):
            for one in found:
                if one.state == "ok":
                    _line(one)
    st.caption(" · ".join(f"[{name}]({url})" for name, url in doctor.LINKS.items()))


def _line(one: Finding) -> None:
    cure = f"  \n{words.label(one.cure, 300)}" if one.cure and one.state != "ok" else ""
    st.markdown(f"{ICONS[one.state]} **{words.label(one.name)}** {words.label(one.said, 300)}{cure}")
