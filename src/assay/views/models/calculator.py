"""The models page's calculator: what calls of a size cost at a model's listed prices."""

from __future__ import annotations

import streamlit as st

from assay.money import format_usd, plain, to_pico
from assay.openrouter.pricing import Amounts
from assay.views import words
from assay.workbench.session import Session
from assay.workbench.spending import calculator

FIRST = (("prompt", "Tokens in", 1000), ("completion", "Tokens out", 300), ("calls", "Calls", 1000))
FURTHER = (
    ("cached", "Of the prompt: cached"),
    ("cache_written", "Of the prompt: kept 5 minutes"),
    ("cache_written_1h", "Of the prompt: kept 1 hour"),
    ("reasoning", "Of the answer: thinking"),
    ("images", "Pictures sent"),
    ("searches", "Web searches"),
)


def show(session: Session, model_id: str) -> None:
    """Asks for the sizes and says what calls of them come to, exactly; what is unknown is said."""
    with st.expander("What would it cost?", icon=":material/calculate:", key="models.calculator"):
        given = {}
        for column, (name, label, first) in zip(st.columns(3), FIRST, strict=True):
            given[name] = int(
                column.number_input(
                    label, min_value=0 if name != "calls" else 1, value=first, step=100, key=f"models.price.{name}"
                )
            )
        with st.popover("Cache, thinking, pictures, searches", icon=":material/tune:"):
            for name, label in FURTHER:
                given[name] = int(st.number_input(label, min_value=0, value=0, key=f"models.price.{name}"))
        calls = given.pop("calls")
        found = calculator.price(session, model_id, Amounts(**given), calls=calls)
        if found.total_usd is None or found.bill.total_usd is None:
            st.warning(f"Unknown: no price is listed for {words.label(', '.join(found.bill.unclear), 200)}.")
        else:
            one, all_ = format_usd(to_pico(found.bill.total_usd)), format_usd(to_pico(found.total_usd))
            st.markdown(f"**\\{all_}** for {words.counted(calls, 'call')}, \\{one} each.")
        if found.is_long_context:
            st.caption(":material/info: So long a prompt has prices of its own.")
        lines = [
            f"{line.name.replace('_', ' ')}: {line.used:,} at \\${plain(line.each)}"
            for line in found.bill.lines
            if line.each is not None and line.used
        ]
        st.caption(" · ".join(lines))
