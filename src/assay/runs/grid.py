"""From a plan and a row to the request of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.datasets.template import mapped, render_prompt
from assay.domain.contestant import Contestant, Prompt
from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunPlan


def request_of(
    prompt: Prompt, contestant: Contestant, values: Mapping[str, str], *, mapping: Mapping[str, str] | None = None,
    data_policy: Mapping[str, Any] | None = None, max_tokens: int | None = None,
) -> CompletionRequest:  # fmt: skip
    """The request of a contestant for a row, exactly as it is sent.

    data_policy: provider routing that nothing may relax. max_tokens: sent where the contestant sets none.
    Raises TemplateError for undefined variables.
    """
    messages = render_prompt(prompt, mapped(values, mapping or {}))
    params = dict(contestant.params)
    if max_tokens is not None and not {"max_tokens", "max_completion_tokens"} & params.keys():
        params["max_tokens"] = max_tokens
    return CompletionRequest(contestant.model_id, messages, params, {**contestant.provider, **(data_policy or {})})


def sample_seed(plan: RunPlan, sample: int) -> dict[str, Any]:
    """Parameters that set samples apart: a seed per sample beyond the first, so that no cache answers twice."""
    return {"seed": sample} if sample and plan.samples > 1 else {}
