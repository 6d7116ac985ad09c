"""Whether models can be asked: on the gateway, with these parameters and this routing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.domain.contestant import Contestant
from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunMode
from assay.errors import SettingsError
from assay.openrouter.parameters import checked_settings
from assay.runs.prices import base_model, may_answer
from assay.workbench.gateway.catalogue import nearest_models
from assay.workbench.running.progress import RunProgress as RunProgress
from assay.workbench.running.progress import glance as glance
from assay.workbench.running.progress import progress as progress
from assay.workbench.running.progress import wait_for_run as wait_for_run
from assay.workbench.running.progress import waits_for as waits_for

if TYPE_CHECKING:
    from assay.workbench.session import Session


def model_problems(
    session: Session,
    contestants: Sequence[Contestant],
    judges: Sequence[str] = (),
    *,
    mode: RunMode = "normal",
    allow_unknown: bool = False,
) -> list[str]:
    """What keeps models from being asked: not on the gateway, or parameters and routing that are unknown or out of
    their range. A fallback counts as a model."""
    asked = [model for c in contestants for model in may_answer(CompletionRequest(c.model, (), c.params))]
    problems = [
        said for model_id in dict.fromkeys([*asked, *judges]) if (said := _model_problem(session, model_id, mode))
    ]
    for contestant in contestants:
        try:
            checked_settings({**contestant.params, "provider": contestant.provider}, allow_unknown=allow_unknown)
        except SettingsError as error:
            problems.append(f"{contestant.name}: {error}")
    return problems


def _model_problem(session: Session, model_id: str, mode: RunMode) -> str:
    """Why a model cannot be asked; empty: it can. A preset is known to the gateway alone."""
    listed = session.catalogue.models()
    bare = base_model(model_id).partition("@preset/")[0]
    if bare and listed and session.catalogue.find(bare) is None:
        near = nearest_models(session, bare)
        hint = f" Did you mean {' or '.join(near)}?" if near else " The Models page, or `assay models`, lists them."
        return f"There is no model {model_id!r} on this gateway.{hint}"
    if bare.endswith(":batch") and mode != "batch":
        return f"{model_id} is asked through batches only. Choose {bare.removesuffix(':batch')} with the mode batch."
    return ""
