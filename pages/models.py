import streamlit as st

from assay.views.components import errors_in_words, title
from assay.views.models import calculator, view
from assay.views.resources import get_session
from assay.workbench.gateway.catalogue import list_models

session = get_session()
title("Models", "The gateway's catalogue: what each model costs, takes and can do.")
with errors_in_words():
    search, only = view.toolbar(session)
    models = view.chosen(list_models(session), search, only)
    if models:
        selected = view.table(models)
        if selected:
            calculator.show(session, selected)
            view.providers(session, selected)
        else:
            st.caption("Select a row to see the model's providers.")
        view.chart(models)
    else:
        st.info("No model fits. Clear the search and the filters, or refresh.", icon=":material/search_off:")
