import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.playground import form as playground_form
from assay.views.playground import panes
from assay.views.resources import get_session

session = get_session()
title("Playground", "One prompt to several models, side by side: read, vote, and see what each answer cost.")
with errors_in_words():
    draft = playground_form.form(session)
    comparison = st.query_params.get("comparison")
    if comparison:
        panes.show(session, comparison)
    else:
        st.info("Run sends the prompt to every chosen model at once.", icon=":material/play_circle:")
    playground_form.below(session, draft)
