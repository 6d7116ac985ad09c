import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.datasets import catalogue, detail
from assay.views.resources import get_session

session = get_session()
title("Datasets", "The rows that runs are made of: every change is a new version, and a data policy guards each call.")
with errors_in_words():
    chosen = st.query_params.get("dataset")
    if chosen:
        detail.page(session, chosen, version=st.query_params.get("version"))
    else:
        catalogue.importer(session)
        catalogue.table(session)
