"""Block 3's graders: chosen, set up, and tried on the first rows' expected answers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from assay.domain.score import GraderSpec
from assay.scoring.graders import GRADERS, suggested
from assay.scoring.kinds import Field
from assay.views.batch.source import Source
from assay.workbench.gateway.catalogue import list_models
from assay.workbench.session import Session


def graders(session: Session, source: Source) -> tuple[GraderSpec, ...]:
    """The graders as set up."""
    asked = suggested(source.dataset.columns)
    wanted = source.example.grader if source.example else next(iter(asked), None)
    first = wanted.kind if wanted else ("equals" if source.expected else "judge")
    kinds = st.multiselect(
        "Graders",
        list(GRADERS),
        default=[first] if source.expected or wanted else [],
        format_func=lambda kind: GRADERS[kind].title,
        key=f"batch.graders.{source.dataset.id}",
        placeholder="How answers are scored",
    )
    specs = []
    for kind in kinds:
        defaults = dict(wanted.params) if wanted and wanted.kind == kind else {}
        with st.expander(
            f"{GRADERS[kind].title}: {GRADERS[kind].help}", expanded=kind in ("judge", "json_schema", "regex")
        ):
            specs.append(GraderSpec(kind, _settings(session, kind, source, defaults)))
    return tuple(specs)


def _settings(session: Session, kind: str, source: Source, defaults: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in GRADERS[kind].fields:
        value = _field(session, kind, field, source, defaults.get(field.name, field.default))
        if value not in (None, "", field.default):
            found[field.name] = value
    if st.toggle("Turn round: a match fails", key=f"batch.{kind}.negate.{source.dataset.id}"):
        found["negate"] = True
    return found


def _field(session: Session, kind: str, field: Field, source: Source, default: Any) -> Any:
    name, key = field.name.replace("_", " ").capitalize(), f"batch.{kind}.{field.name}.{source.dataset.id}"
    if kind == "judge" and field.name == "model":
        models = [model.id for model in list_models(session)]
        preferred = "sandbox/sage" if "sandbox/sage" in models else None
        place = models.index(preferred) if preferred else None
        return st.selectbox("Judge", models, index=place, key=key, help=field.help, placeholder="Choose a model")
    match field.type:
        case "flag":
            return st.toggle(name, value=bool(default), key=key, help=field.help)
        case "number":
            return st.number_input(name, value=float(default or 0), min_value=0.0, key=key, help=field.help)
        case "choice":
            return st.selectbox(name, field.choices, index=field.choices.index(default), key=key, help=field.help)
        case "long_text":
            return st.text_area(name, value=default, key=key, help=field.help, height=90)
        case _:
            return st.text_input(name, value=default, key=key, help=field.help)
