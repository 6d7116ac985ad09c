"""The data policy of a dataset: provider routing that nothing may relax, and what it does not cover.

A policy is a mapping by wire name, as `RunPlan.data_policy` holds it: zdr (True), data_collection ("deny"), only (a
list of provider slugs). A key that is absent asks for nothing; `only` with an empty list allows no provider at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay.errors import PolicyError

Policy = Mapping[str, Any]


def make_policy(*, zdr: bool = False, no_training: bool = False, only: Iterable[str] = ()) -> dict[str, Any]:
    """A policy in its wire names; slugs are lower case and each once."""
    slugs = sorted({slug.strip().lower() for slug in only if slug.strip()})
    found: dict[str, Any] = {}
    if zdr:
        found["zdr"] = True
    if no_training:
        found["data_collection"] = "deny"
    if slugs:
        found["only"] = slugs
    return found


def covers(slug: str, other: str) -> bool:
    """Whether a provider slug includes another: `google-vertex` includes `google-vertex/us-east5`."""
    return slug == other or other.startswith(f"{slug}/")


def strictest(*policies: Policy) -> dict[str, Any]:
    """What all of the policies ask for together."""
    found: dict[str, Any] = {}
    for policy in policies:
        for name, value in policy.items():
            if name == "only":
                found["only"] = common(found["only"], value) if "only" in found else _lower(value)
            elif name == "ignore":
                found["ignore"] = sorted({*found.get("ignore", ()), *_lower(value)})
            elif name == "zdr":
                found["zdr"] = bool(value) or found.get("zdr", False)
            elif name == "data_collection":
                found["data_collection"] = "deny" if "deny" in (value, found.get(name)) else value
            else:
                found[name] = value
    return found


def _lower(slugs: Iterable[str]) -> list[str]:
    return sorted({str(slug).lower() for slug in slugs})


def common(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """The providers that both lists allow; of a slug and a part of it, the part."""
    pairs = [(a, b) for a in _lower(first) for b in _lower(second)]
    return sorted({b if covers(a, b) else a for a, b in pairs if covers(a, b) or covers(b, a)})


def narrowed(provider: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """A contestant's routing within a policy: lists are intersected, nothing becomes looser.

    Raises PolicyError when no provider is left; an empty list on the wire would allow all of them.
    """
    if not policy:
        return dict(provider)
    own = {name: value for name, value in provider.items() if name != "only" or value}
    found = {**own, **strictest(own, policy)}
    if "only" in found and not found["only"]:
        wanted = ", ".join(_lower(own.get("only", ()))) or "none"
        allowed = ", ".join(_lower(policy.get("only", ()))) or "none"
        raise PolicyError(
            f"The routing allows only {wanted}, the data policy only {allowed}: no provider is left.",
            cure="Change the routing.",
        )
    return found


def is_looser(new: Policy, old: Policy) -> bool:
    """Whether some call is allowed by the new policy that the old one refused."""
    if old.get("zdr") and not new.get("zdr"):
        return True
    if old.get("data_collection") == "deny" and new.get("data_collection") != "deny" and not new.get("zdr"):
        return True
    if "only" not in old:
        return False
    return "only" not in new or any(not any(covers(o, n) for o in old["only"]) for n in new["only"])


def in_words(policy: Policy) -> str:
    """A policy in a line; empty: there is none."""
    parts = []
    if policy.get("zdr"):
        parts.append("zero data retention only")
    if policy.get("data_collection") == "deny":
        parts.append("no training")
    if "only" in policy:
        parts.append(f"only {', '.join(policy['only']) or 'no provider'}")
    return ", ".join(parts)


def uncovered(model_id: str, params: Mapping[str, Any]) -> str:
    """What in a request sends the prompt where no policy reaches; empty: nothing."""
    fallbacks = params.get("models")
    names = [model_id, *(str(m) for m in fallbacks)] if isinstance(fallbacks, Sequence) else [model_id]
    if any("online" in name.split(":")[1:] for name in names):
        return "the variant :online sends the prompt to a search service"
    if any(name.startswith("@preset/") or "@preset/" in name for name in names) or params.get("preset"):
        return "a preset is kept by the gateway and may add plugins"
    if params.get("plugins"):
        return "plugins send the prompt to other services"
    tools = params.get("tools")
    kinds = [str(t.get("type", "")) for t in tools if isinstance(t, Mapping)] if isinstance(tools, Sequence) else []
    if params.get("web_search_options") or any(kind != "function" for kind in kinds):
        return "web search and server tools send the prompt to other services"
    return ""
