import streamlit as st

from assay.views import calculator, models_view
from assay.views.components import errors_in_words, title
from assay.views.resources import get_runtime
from assay.workbench.catalogue import list_models

rt = get_runtime()
title("Models", "The gateway's catalogue: what each model costs, takes and can do.")
with errors_in_words():
    search, only = models_view.toolbar(rt)
    models = models_view.chosen(list_models(rt), search, only)
    if models:
        selected = models_view.table(models)
        if selected:
            calculator.show(rt, selected)
            models_view.providers(rt, selected)
        else:
            st.caption("Select a row to see the model's providers.")
        models_view.chart(models)
    else:
        st.info("No model fits. Clear the search and the filters, or refresh.", icon=":material/search_off:")
