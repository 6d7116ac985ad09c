import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.prompts import detail, editor, names
from assay.views.resources import get_session
from assay.workbench import prompts

session = get_session()
title("Prompts", "Every prompt with its versions: what changed, which runs used it, and what it scored.")
with errors_in_words():
    if editor.is_open():
        editor.form(session)
    elif not prompts.count_prompts(session) and not prompts.count_prompts(session, archived=True):
        names.empty()
    else:
        left, right = st.columns([2, 5], gap="large")
        with left:
            chosen = names.chosen(session)
        with right, errors_in_words():
            if chosen:
                detail.show(session, chosen)
