import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.datasets import catalogue, detail
from assay.views.resources import get_runtime

rt = get_runtime()
title("Datasets", "The rows that runs are made of: every change is a new version, and a data policy guards each call.")
with errors_in_words():
    chosen = st.query_params.get("dataset")
    if chosen:
        detail.page(rt, chosen, version=st.query_params.get("version"))
    else:
        catalogue.importer(rt)
        catalogue.table(rt)
