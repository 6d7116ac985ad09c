from assay.views.components import errors_in_words, title
from assay.views.resources import get_session
from assay.views.spend import view

session = get_session()
title("Spend", "Where every cent went, from the ledger; what is unknown is shown as unknown.")
with errors_in_words():
    view.page(session)
