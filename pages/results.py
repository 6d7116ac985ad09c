import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.resources import get_session
from assay.views.results import view

session = get_session()
title("Results", "Who wins, by how much, whether that is more than noise, and at what price.")
with errors_in_words():
    chosen = st.query_params.get("run")
    if chosen:
        view.run_page(session, chosen)
    else:
        view.run_list(session)
