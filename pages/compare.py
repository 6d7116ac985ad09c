import streamlit as st

from assay.views.compare import view
from assay.views.components import errors_in_words, title
from assay.views.resources import get_session

session = get_session()
title("Compare", "What changed between two runs, by how much, and on which rows.")
with errors_in_words():
    view.compare_page(session, st.query_params.to_dict())
