"""The data policy of a dataset: what it asks for, whom it leaves, how it changed."""

from __future__ import annotations

import streamlit as st

from assay.errors import AssayError
from assay.views import components, words
from assay.workbench.datasets.versions import DatasetRecord
from assay.workbench.running import policies
from assay.workbench.session import Session


def tab(session: Session, record: DatasetRecord) -> None:
    """The whole tab."""
    st.caption(
        "Every call on these rows carries the policy, judges included, in every version and in whatever is made out of "
        "them. Who has no endpoint that complies is refused before a run starts."
    )
    old = record.policy
    zdr = st.toggle(
        "Zero data retention only",
        bool(old.get("zdr")),
        key=f"datasets.zdr.{record.name}",
        help="Only endpoints that keep nothing of a request.",
    )
    deny = st.toggle(
        "No training",
        old.get("data_collection") == "deny",
        key=f"datasets.deny.{record.name}",
        help="Only providers that do not train on prompts. Gateways do not always list who does: the ban goes with "
        "each request, and the gateway then refuses what nobody may serve.",
    )
    allowed = list(old.get("only", ()))
    only = st.multiselect(
        "Allowed providers",
        sorted({*policies.provider_slugs(session), *allowed}),
        default=allowed,
        accept_new_options=True,
        key=f"datasets.only.{record.name}",
        placeholder="All",
        width=520,
        help="Contestants that name providers of their own get what both lists allow.",
    )
    new = policies.make_policy(zdr=zdr, no_training=deny, only=only)
    _left(session, new)
    _save(session, record, new)
    _log(record)


def _left(session: Session, policy: dict[str, object]) -> None:
    if not policy:
        st.caption("Without a policy a call may reach any provider.")
        return
    st.caption("Plugins, web search and the variant :online are refused under any policy: it does not cover them.")
    try:
        left = policies.models_left(session, policy)
    except AssayError as error:
        components.show_error(error)
        return
    if left is not None:
        with st.expander(f"Models that it leaves: {len(left):,}", icon=":material/verified_user:"):
            st.code("\n".join(map(words.plain, left)) or " ", language=None)


def _save(session: Session, record: DatasetRecord, new: dict[str, object]) -> None:
    changed, looser = new != dict(record.policy), policies.is_looser(new, record.policy)
    agreed = True
    if changed and looser:
        st.warning(words.label(policies.LOOSER, 400), icon=":material/lock_open:")
        agreed = st.checkbox("Allow it", key=f"datasets.loosen.{record.name}")
    if st.button("Keep policy", type="primary", key="datasets.policy_go", disabled=not (changed and agreed)):
        try:
            done = policies.set_policy(session, record.name, new, loosen=looser and agreed)
        except AssayError as error:
            components.show_error(error)
            return
        paused = f" Runs paused, because they began under the old one: {done.paused}." if done.paused else ""
        st.session_state["datasets.said"] = f"The policy is kept: {policies.in_words(new) or 'none'}.{paused}"
        st.rerun()


def _log(record: DatasetRecord) -> None:
    if record.policy_log:
        with st.expander("Changes", icon=":material/history:"):
            for change in reversed(record.policy_log):
                st.caption(
                    f"{words.moment(change.at_ms)}: {words.label(policies.in_words(change.policy) or 'none', 200)}"
                )
