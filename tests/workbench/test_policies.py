"""A data policy: on every request that leaves, judges included; refused before the run where nobody complies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assay.config import EndpointSetting, Gateway, Settings
from assay.datasets.table import Dialect, Table
from assay.domain.contestant import Contestant, Prompt
from assay.domain.data_policy import make_policy
from assay.domain.score import GraderSpec
from assay.errors import PolicyError, RunError
from assay.sandbox import SandboxConfig, SandboxServer
from assay.store import runs as stored_runs
from assay.workbench.datasets import kept, versions
from assay.workbench.gating import suites
from assay.workbench.running import policies, runs
from assay.workbench.running.review import review
from assay.workbench.running.runs import RunDraft
from assay.workbench.session import Session, open_session
from assay.workbench.spending import spend

SWIFT, ATLAS, BARD = (Contestant(f"sandbox/{name}") for name in ("swift", "atlas-large", "bard"))
"""Served by eastbay (retains nothing) and southgate (trains); northwind and eastbay; southgate alone."""
ROWS = Table(("id", "q", "answer"), [["1", "two and two?", "four"], ["2", "one and two?", "three"]], Dialect("csv"))


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """A gateway whose requests can be read."""
    with SandboxServer(SandboxConfig(speed=0)) as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, server: SandboxServer) -> Iterator[Session]:
    """A workbench on that gateway, with the dataset `sums`."""
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/a.db",
        endpoints=[EndpointSetting(name="local", base_url="http://127.0.0.1:9/v1")],
    )
    with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("key"))) as opened:
        opened.ready()
        kept.save_table(opened, ROWS, name="sums")
        yield opened


def draft(session: Session, *contestants: Contestant, judge: str = "", **more: Any) -> RunDraft:
    """A draft over `sums`."""
    graders = (GraderSpec("judge", {"model": judge}),) if judge else ()
    return RunDraft(kept.get_dataset(session, "sums").id, (Prompt("{{q}}"),), contestants, graders, **more)


def sent(server: SandboxServer) -> list[dict[str, Any]]:
    """The routing of every request that the gateway got."""
    return [body.get("provider", {}) for body in server.sandbox.books.requests]


def test_policy_reaches_every_request_judges_included(session: Session, server: SandboxServer) -> None:
    """A run that is told nothing carries the policy of its dataset on each answer and each judgement."""
    policies.set_policy(session, "sums", make_policy(zdr=True, no_training=True, only=["eastbay", "northwind"]))
    wanted = draft(session, SWIFT, ATLAS, judge="sandbox/sage")
    state = runs.wait_for_run(session, runs.start_run(session, wanted), timeout_s=60)

    assert runs.plan_of(session, wanted).data_policy == policies.get_policy(session, "sums")
    assert (state.state, state.failed) == ("done", 0)
    assert len(sent(server)) == 8
    for routing in sent(server):
        assert routing == {"zdr": True, "data_collection": "deny", "only": ["eastbay", "northwind"]}
    served = {row.provider for row in spend.ledger_page(session, spend.SpendFilter(run_id=state.id))}
    assert served <= {"Eastbay", "Northwind"}


def test_contestants_own_providers_are_intersected(session: Session, server: SandboxServer) -> None:
    """A contestant's `only` narrows the policy's, and what it relaxes stays forbidden."""
    policies.set_policy(session, "sums", make_policy(zdr=True, only=["northwind", "eastbay"]))
    own = Contestant("sandbox/atlas-large", provider={"only": ["eastbay", "southgate"], "zdr": False})
    runs.wait_for_run(session, runs.start_run(session, draft(session, own)), timeout_s=60)

    assert sent(server) == [{"only": ["eastbay"], "zdr": True}] * 2


def test_draft_policy_adds_to_that_of_the_dataset(session: Session, server: SandboxServer) -> None:
    """The stricter of the two holds, whichever said it."""
    policies.set_policy(session, "sums", make_policy(zdr=True))
    runs.wait_for_run(
        session, runs.start_run(session, draft(session, ATLAS, data_policy={"only": ["northwind"]})), timeout_s=60
    )

    assert sent(server) == [{"zdr": True, "only": ["northwind"]}] * 2


@pytest.mark.parametrize(
    ("policy", "contestant", "judge", "said"),
    [
        (make_policy(zdr=True), BARD, "", "contestant bard is refused: none of its providers (Southgate)"),
        (make_policy(zdr=True), ATLAS, "sandbox/bard", "judge sandbox/bard is refused"),
        (make_policy(no_training=True), BARD, "", "may train on prompts (Southgate)"),
        (make_policy(no_training=True), Contestant("sandbox/penny:free"), "", "may train on prompts"),
        (make_policy(only=["northwind"]), SWIFT, "", "none of its providers (Eastbay, Southgate) is allowed"),
        (
            make_policy(zdr=True),
            Contestant("sandbox/swift", provider={"only": ["southgate"]}),
            "",
            "has zero data retention",
        ),
        (
            make_policy(only=["northwind"]),
            Contestant("sandbox/atlas-large", provider={"only": ["eastbay"]}),
            "",
            "no provider is left",
        ),
        (make_policy(zdr=True), Contestant("sandbox/atlas-large", {"plugins": [{"id": "web"}]}), "", "plugins send"),
        (make_policy(zdr=True), Contestant("sandbox/atlas-large:online"), "", ":online sends"),
        (
            make_policy(zdr=True),
            Contestant("sandbox/swift", provider={"order": ["southgate"], "allow_fallbacks": False}),
            "",
            "zero data retention",
        ),
    ],
)
def test_contestant_without_a_compliant_endpoint_is_refused_before_the_run(
    session: Session, server: SandboxServer, policy: dict[str, Any], contestant: Contestant, judge: str, said: str
) -> None:
    """The reason and who remains are said; nothing is sent, for start and estimate alike."""
    policies.set_policy(session, "sums", policy)
    remains = Contestant("sandbox/vista")
    wanted = draft(session, contestant, remains, judge=judge)

    problems = " ".join(list(review(session, wanted).problems))
    assert said in problems
    assert "vista" in problems.split("Contestants that remain: ")[1].split(".")[0]
    with pytest.raises(RunError, match="is refused"):
        runs.start_run(session, wanted)
    with pytest.raises(PolicyError, match="is refused"):
        runs.estimate(session, wanted)
    assert sent(server) == []


def test_refusal_names_models_that_the_policy_leaves(session: Session) -> None:
    """Under zero data retention the gateway's own list says who could be taken instead."""
    policies.set_policy(session, "sums", make_policy(zdr=True, only=["northwind"]))

    left = policies.models_left(session, policies.get_policy(session, "sums"))
    assert left == ["sandbox/atlas-large", "sandbox/scribe", "sandbox/sage", "sandbox/vista"]
    assert "Models that it leaves: 4, such as sandbox/atlas-large" in " ".join(
        list(review(session, draft(session, BARD)).problems)
    )


def test_untold_terms_are_left_to_the_gateway_which_refuses(tmp_path: Path) -> None:
    """Where the lists do not say who trains, the ban still goes with the request, and the gateway routes nowhere."""
    with SandboxServer(SandboxConfig(speed=0, tells_terms=False)) as server:
        settings = Settings(database_url=f"sqlite:///{tmp_path}/a.db")
        with open_session(settings, gateway=Gateway("sandbox", server.base_url, SecretStr("key"))) as session:
            session.ready()
            kept.save_table(session, ROWS, name="sums")
            policies.set_policy(session, "sums", make_policy(no_training=True))
            found = policies.check(session, "sums", (BARD, ATLAS, Contestant("sandbox/penny:free")), (), {})
            state = runs.wait_for_run(session, runs.start_run(session, draft(session, BARD)), timeout_s=60)

        assert [one.name for one in found.untold] == ["bard"]
        assert [refusal.candidate.name for refusal in found.refused] == ["penny:free"]
        assert {tuple(routing.items()) for routing in sent(server)} == {(("data_collection", "deny"),)}
    assert state.spent_pico == 0
    assert "No endpoints found matching your data policy (Paid model training)" in state.reason


def test_further_endpoint_counts_only_when_it_is_named(session: Session) -> None:
    """What a plain endpoint keeps is not known; naming it among the allowed providers vouches for it."""
    local = Contestant("local/llama")
    policies.set_policy(session, "sums", make_policy(zdr=True))
    assert "what the endpoint local keeps is not known" in str(
        policies.check(session, "sums", (local,), (), {}).refused[0]
    )

    policies.set_policy(session, "sums", make_policy(only=["local"]), loosen=True)
    assert policies.check(session, "sums", (local,), (), {}).refused == ()


def test_loosening_must_be_asked_for(session: Session) -> None:
    """What loosening means is said, and nothing changes without the consent; the log keeps both."""
    policies.set_policy(session, "sums", make_policy(zdr=True))

    with pytest.raises(PolicyError, match=r"looser than before.*zero data retention only"):
        policies.set_policy(session, "sums", {})
    assert policies.get_policy(session, "sums") == {"zdr": True}
    policies.set_policy(session, "sums", {}, loosen=True)
    log = versions.get_record(session, "sums").policy_log
    assert [change.policy for change in log] == [{"zdr": True}, {}]


def test_unknown_provider_is_refused_with_a_near_one(session: Session) -> None:
    """A slug with a typing error would allow nobody."""
    with pytest.raises(PolicyError, match=r"no provider 'nortwind'\. Did you mean northwind"):
        policies.set_policy(session, "sums", make_policy(only=["nortwind"]))


def test_tightened_policy_holds_for_a_run_that_began_before(session: Session, server: SandboxServer) -> None:
    """A run that goes on carries today's policy, and is refused where it has become impossible."""
    budget = {"limit": 1}
    run_id = runs.start_run(session, draft(session, SWIFT, **budget))
    runs.wait_for_run(session, run_id, timeout_s=60)
    plan = runs.plan_of(session, draft(session, SWIFT))
    queued = session.store.writer.call(lambda c: stored_runs.create_run(c, plan, name="before"))
    assert policies.set_policy(session, "sums", make_policy(zdr=True)).paused == 1
    server.sandbox.books.requests.clear()
    runs.continue_run(session, queued)
    state = runs.wait_for_run(session, queued, timeout_s=60)
    if state.state == "paused":
        runs.continue_run(session, queued)
        runs.wait_for_run(session, queued, timeout_s=60)

    assert sent(server) == [{"zdr": True}] * 2
    policies.set_policy(session, "sums", make_policy(zdr=True, only=["northwind"]))
    with pytest.raises(PolicyError, match="swift is refused"):
        runs.continue_run(session, queued)


def test_engine_refuses_what_the_workbench_did_not_see(session: Session, server: SandboxServer) -> None:
    """A plan that reaches the engine past every check is halted before its first request."""
    plan = runs.plan_of(session, draft(session, BARD, ATLAS))
    policies.set_policy(session, "sums", make_policy(zdr=True))
    run_id = session.store.writer.call(lambda c: stored_runs.create_run(c, plan, name="past"))
    session.wait(runs.start_engine(session, run_id))
    state = runs.wait_for_run(session, run_id, timeout_s=60)

    assert state.state == "paused"
    assert "bard is refused" in state.reason
    assert sent(server) == []


def test_versions_and_derived_datasets_come_under_the_policy(session: Session) -> None:
    """New versions, draws, failed rows and renamed datasets keep it; a target of their own name gets the stricter."""
    policies.set_policy(session, "sums", make_policy(zdr=True))
    first = kept.get_dataset(session, "sums")
    edited = versions.edit(session, first.id, versions.RowEdits(changed={"1": {"q": "three and one?"}}))
    part = versions.derive(session, first.id, name="part", sample=1)
    versions.rename(session, "sums", "numbers")

    assert edited.dataset.version == 2
    assert policies.get_policy(session, part.dataset.id) == {"zdr": True}
    assert policies.get_policy(session, edited.dataset.id) == policies.get_policy(session, "numbers") == {"zdr": True}


def test_suite_over_a_dataset_carries_its_policy(session: Session, tmp_path: Path) -> None:
    """A suite file that says nothing about data is refused like any other run."""
    policies.set_policy(session, "sums", make_policy(zdr=True))
    path = tmp_path / "suite.yaml"
    path.write_text('dataset: sums\nprompts: ["{{q}}"]\ncontestants: [sandbox/bard, sandbox/swift]\n')
    found, _ = suites.draft_of(session, suites.load_suite(path))

    with pytest.raises(RunError, match=r"bard is refused.*Contestants that remain: swift"):
        runs.start_run(session, found)
