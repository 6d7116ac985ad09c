"""Data policies: kept with a dataset's name, carried by every call on its rows, judges included.

get_policy, set_policy    the policy of a dataset; loosening must be asked for
effective                 what a draft's calls carry: the dataset's policy and the draft's, the stricter of each
check                     who of a draft is refused before the run, and who remains
models_left               the models that a policy leaves

A policy belongs to the name: new versions come under it at once. Runs at work when it is tightened are paused, because
they began under the old one; continued, they carry the new one (runs/worker.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.domain.contestant import Contestant
from assay.domain.data_policy import covers, in_words, is_looser, make_policy, strictest
from assay.domain.score import GraderSpec
from assay.errors import PolicyError
from assay.openrouter.failures import GatewayFailed
from assay.openrouter.pricing import parse_pricing
from assay.runs.compliance import Findings, candidates
from assay.runs.prices import allowed
from assay.store import dataset_names as names
from assay.store import runs as stored_runs
from assay.store.datasets import get_dataset, policy_of
from assay.workbench.gateway.catalogue import list_models

if TYPE_CHECKING:
    from assay.workbench.session import Session

__all__ = ["Findings", "in_words", "is_looser", "make_policy"]
SUGGESTED = 5
LOOSER = (
    "That is looser than before: from now on calls on these rows may reach providers that were refused so far. "
    "Runs keep what they were started with."
)


def get_policy(session: Session, dataset: str) -> dict[str, Any]:
    """The data policy of a dataset by name or version id; {}: none. Raises NotFound."""
    with session.store.read() as connection:
        return policy_of(connection, get_dataset(connection, dataset).id)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A policy that was set."""

    name: str
    policy: Mapping[str, Any]
    paused: int
    """Runs at work that were paused, because they began under the old policy."""


def set_policy(session: Session, dataset: str, policy: Mapping[str, Any], *, loosen: bool = False) -> PolicySet:
    """Sets the data policy of a dataset: all its versions, now and later.

    loosen: agrees to a policy that allows what the old one refused. Raises NotFound, PolicyError without that, and
    for a provider that the gateway does not know.
    """
    with session.store.read() as connection:
        name = get_dataset(connection, dataset).name
    check_providers(session, policy.get("only", ()))

    def write(connection: Any) -> int:
        old = names.policy_of_name(connection, name)
        if is_looser(policy, old) and not loosen:
            raise PolicyError(
                f"{LOOSER} It was: {in_words(old)}.",
                cure="Confirm it (`--loosen` on the command line), or keep the old policy.",
            )
        if dict(policy) == old:
            return 0
        live = names.set_policy(connection, name, policy)
        tightened = live if policy and not is_looser(policy, old) else []
        for run_id in tightened:
            stored_runs.command_run(connection, run_id, "pause")
        return len(tightened)

    return PolicySet(name, policy, session.store.writer.call(write))


def provider_slugs(session: Session) -> list[str]:
    """The providers that a policy can name: the gateway's, and further endpoints; the gateway's only if it answers."""
    slugs = set(session.gateways.others)
    if session.gateway.speaks_openrouter:
        with suppress(GatewayFailed):  # the list is a help for typing, and slugs can be typed without it
            slugs |= {str(row["slug"]).lower() for row in session.wait(session.client.providers()) if row.get("slug")}
    return sorted(slugs)


def check_providers(session: Session, slugs: Iterable[str]) -> None:
    """Raises PolicyError for a provider slug that the gateway does not list; a gateway that cannot be asked lists
    none, and then everything passes: a wrong slug allows nobody."""
    known = provider_slugs(session) if slugs else []
    for slug in slugs:
        if set(known) - set(session.gateways.others) and not any(covers(name, slug) for name in known):
            near = difflib.get_close_matches(slug, known, n=2)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See the providers on the Models page."
            raise PolicyError(f"The gateway knows no provider {slug!r}.", cure=hint)


def effective(session: Session, dataset: str, policy: Mapping[str, Any]) -> dict[str, Any]:
    """What calls on a dataset carry: its own policy and a draft's, the stricter of each."""
    return strictest(get_policy(session, dataset), policy)


def check(
    session: Session,
    dataset: str,
    contestants: Sequence[Contestant],
    graders: Sequence[GraderSpec],
    policy: Mapping[str, Any],
) -> Findings:
    """Who is refused under the policy of a dataset and a draft together, and who remains; asks the gateway."""
    return examine(session, contestants, graders, effective(session, dataset, policy))


def examine(
    session: Session, contestants: Sequence[Contestant], graders: Sequence[GraderSpec], policy: Mapping[str, Any]
) -> Findings:
    """Who is refused under a policy, and who remains; asks the gateway where there is a policy."""
    if not policy:
        return Findings()
    return session.wait(session.dispatcher.compliance.check(candidates(contestants, graders), policy))


def problems(
    session: Session,
    dataset: str,
    contestants: Sequence[Contestant],
    graders: Sequence[GraderSpec],
    policy: Mapping[str, Any],
) -> list[str]:
    """Why a run is refused by its data policy, in words: each refused one, and who remains; none: it may start."""
    return problems_of(session, dataset, policy, check(session, dataset, contestants, graders, policy))


def problems_of(session: Session, dataset: str, policy: Mapping[str, Any], found: Findings) -> list[str]:
    """The words of `problems` for what `check` found."""
    if not found.refused:
        return []
    together = effective(session, dataset, policy)
    left = [one.name for one in found.remaining if one.role == "contestant"]
    remaining = f"Contestants that remain: {', '.join(left)}." if left else "No contestant remains."
    words = [f"The data policy of this dataset: {in_words(together)}.", remaining, _suggestion(session, together)]
    return [*(str(refusal) for refusal in found.refused), " ".join(word for word in words if word)]


def _suggestion(session: Session, policy: Mapping[str, Any]) -> str:
    """Some models that the policy leaves; empty where the gateway publishes no list."""
    try:
        models = models_left(session, policy)
    except PolicyError:
        return ""
    if models is None:
        return ""
    some = f", such as {', '.join(models[:SUGGESTED])}" if models else ""
    return f"Models that it leaves: {len(models):,}{some}."


def models_left(session: Session, policy: Mapping[str, Any]) -> list[str] | None:
    """The models of the catalogue that a policy leaves, in its order; None: the gateway publishes no such list.

    Zero data retention is listed for every endpoint; who trains, or who serves a model, only model by model.
    """
    if not policy.get("zdr") or not session.gateway.speaks_openrouter:
        return None
    rows = [row for row in session.wait(session.dispatcher.compliance.zdr_rows()) if allowed(row, policy)]
    known = {(str(row.get("model_id")), parse_pricing(row.get("pricing")).is_free) for row in rows}
    return [m.id for m in list_models(session) if (str(m.raw.get("canonical_slug", m.id)), m.pricing.is_free) in known]
