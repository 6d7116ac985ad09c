import streamlit as st

from assay.views import words
from assay.views.components import errors_in_words, title
from assay.views.resources import get_session
from assay.views.settings import doctor, faults
from assay.workbench.gateway.health import check_gateway, health

session = get_session()
title("Settings", "Where the key comes from, whether the gateway answers, and where your data is.")
with errors_in_words():
    found = health(session)
    limits_token = session.settings.api_token is not None
    left, right = st.columns(2)
    with left:
        st.subheader("Gateway", anchor=False)
        if session.is_sandbox:
            st.info("No key is set, so the sandbox answers: simulated answers, invented prices.")
        st.markdown(f"Key from: **{'not set' if found.key_source == 'none' else found.key_source}**")
        st.code(found.base_url, language=None)
        if st.button("Check the gateway", key="settings.check", icon=":material/network_check:", help="One free call."):
            with st.spinner("Asking the gateway"):
                answer = check_gateway(session)
            (st.success if answer.ok else st.error)(words.label(answer.message, 600))
            if answer.facts:
                st.table({name: words.label(said) for name, said in answer.facts.items()})
        doctor.panel(session)
        faults.panel(session)
        if found.endpoints:
            st.markdown("Further endpoints")
            st.table({words.label(name): words.label(url, 120) for name, url in found.endpoints})
        with st.expander("Set a key"):
            st.caption("Set it where the app starts, then restart. Assay never stores, logs or shows it.")
            st.code("export OPENROUTER_API_KEY=sk-or-v1-...\nmake run", language="bash")
            st.caption("A line in .env, or in .streamlit/secrets.toml, does the same.")
        with st.expander("Add an OpenAI-compatible endpoint"):
            st.caption(
                "Ollama, vLLM, LiteLLM, llama.cpp ...: in .streamlit/secrets.toml, then restart. "
                "Its models stand in the same pickers as NAME/MODEL."
            )
            st.code(
                '[[ASSAY_ENDPOINTS]]\nname = "ollama"\nbase_url = "http://localhost:11434/v1"\n'
                'prices = { "*" = { prompt = "0", completion = "0" } }  # USD per million tokens',
                language="toml",
            )
        service = "on" if limits_token else "off; set ASSAY_API_TOKEN to switch it on"
        st.caption(f"HTTP service at /api: {service}.")
    with right:
        st.subheader("Data", anchor=False)
        st.code(str(found.store.path or found.store.url), language=None, wrap_lines=True)
        size = f"{(found.store.size_bytes or 0) / 1024 / 1024:.1f} MB"
        st.markdown(f"Size: **{size}** · free on the disk: **{(found.store.free_bytes or 0) / 1024**3:.0f} GB**")
        state = "sound" if found.store.sound else "has a known bug with several writers; install pysqlite3"
        st.markdown(f"SQLite {found.store.version}: {state}")
        st.subheader("Limits", anchor=False)
        limits = session.settings
        st.table(
            {
                "Calls in flight per run": str(limits.concurrency),
                "Attempts per call": str(limits.max_attempts),
                "Longest wait for a first token": f"{limits.first_token_timeout_s:.0f} s",
                "Longest call": f"{limits.total_timeout_s:.0f} s",
                "Largest file": f"{limits.upload_limit_mb} MB",
                "Budget of the month": f"\\${limits.monthly_budget_usd}" if limits.monthly_budget_usd else "none",
            }
        )
        st.subheader("Versions", anchor=False)
        st.caption(" · ".join(f"{name} {version}" for name, version in found.versions.items()))
