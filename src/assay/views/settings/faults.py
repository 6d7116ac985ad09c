"""The settings page's faults on demand: what calls to the built-in sandbox meet."""

from __future__ import annotations

import streamlit as st

from assay.views import words
from assay.workbench.gateway import faults
from assay.workbench.gateway.catalogue import list_models
from assay.workbench.gateway.faults import FaultSetting
from assay.workbench.session import Session

EVERY = "every model"


def panel(session: Session) -> None:
    """Picks faults, their share and a model; nothing where a real gateway answers."""
    if session.built_in_sandbox is None:
        return
    now, kinds = faults.faults(session), faults.fault_kinds()
    with st.expander("Faults on demand", expanded=bool(now), icon=":material/bolt:"):
        st.caption("Calls to the sandbox meet these faults until you clear them or restart: see how a run bears it.")
        chosen = st.multiselect(
            "Faults",
            list(kinds),
            default=list(dict.fromkeys(f.kind for f in now)),
            key="settings.faults",
            format_func=lambda kind: f"{kind}: {kinds[kind]}",
            placeholder="None",
        )
        share = st.slider(
            "Share of calls",
            1,
            100,
            round(now[0].rate * 100) if now else 20,
            format="%d %%",
            key="settings.fault_share",
        )
        ids = [EVERY, *(m.id for m in list_models(session))]
        model = now[0].model if now and now[0].model in ids else EVERY
        where = st.selectbox("Model", ids, index=ids.index(model), format_func=words.label, key="settings.fault_model")
        with st.container(horizontal=True):
            if st.button("Apply", key="settings.fault_apply", type="primary", disabled=not chosen):
                only = "" if where == EVERY else where
                faults.set_faults(session, [FaultSetting(kind, share / 100, only) for kind in chosen])
                st.rerun()
            if st.button("Clear", key="settings.fault_clear", disabled=not now):
                faults.set_faults(session, [])
                st.session_state.pop("settings.faults", None)
                st.rerun()
        if now:
            said = ", ".join(f"{f.kind} on {f.rate:.0%} of {f.model or 'all'} calls" for f in now)
            st.warning(words.label(f"Now: {said}.", 400), icon=":material/bolt:")
