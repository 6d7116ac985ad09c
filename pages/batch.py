from assay.views.batch import form
from assay.views.components import errors_in_words, title
from assay.views.resources import get_session

session = get_session()
title("Batch evals", "A file of prompts through several models and prompt versions, graded, within a budget.")
with errors_in_words():
    form.page(session)
