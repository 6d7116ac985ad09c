"""From a plan and a row to the request of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.domain.contestant import Contestant, Prompt
from assay.domain.data_policy import narrowed, uncovered
from assay.domain.messages import CompletionRequest
from assay.domain.plan import RunPlan
from assay.errors import PolicyError, TemplateError
from assay.prompts.template import mapped, render_prompt, unsendable


def request_of(
    prompt: Prompt,
    contestant: Contestant,
    values: Mapping[str, str],
    *,
    mapping: Mapping[str, str] | None = None,
    data_policy: Mapping[str, Any] | None = None,
    max_tokens: int | None = None,
) -> CompletionRequest:
    """The request of a contestant for a row, exactly as it is sent.

    data_policy: provider routing that nothing may relax. max_tokens: sent where the contestant sets none.
    Raises TemplateError for undefined variables and for a prompt that asks nothing, PolicyError where the policy
    forbids the request.
    """
    given = mapped(values, mapping or {})
    messages = render_prompt(prompt, given)
    if why := unsendable(prompt, given, messages):
        raise TemplateError(f"{why} It was not sent.", cure="Fill the row in, or leave it out.")
    params = dict(contestant.params)
    if max_tokens is not None and not {"max_tokens", "max_completion_tokens"} & params.keys():
        params["max_tokens"] = max_tokens
    return under_policy(
        CompletionRequest(contestant.model_id, messages, params, contestant.provider), data_policy or {}
    )


def under_policy(request: CompletionRequest, data_policy: Mapping[str, Any]) -> CompletionRequest:
    """The request with its routing narrowed to a data policy. Raises PolicyError where it cannot be."""
    if not data_policy:
        return request
    if said := uncovered(request.model, request.params):
        raise PolicyError(f"The data policy refuses the request: {said}.", cure="Leave that out.")
    return replace(request, provider=narrowed(request.provider, data_policy))


def sample_seed(plan: RunPlan, sample: int) -> dict[str, Any]:
    """Parameters that set samples apart: a seed per sample beyond the first, so that no cache answers twice."""
    return {"seed": sample} if sample and plan.samples > 1 else {}
