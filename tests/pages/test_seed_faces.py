"""What the seed's points are on the screens: faults on demand, the examination, routing, moderation and status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from assay.config import Gateway, Settings
from assay.errors import SettingsError
from assay.sandbox import SandboxServer
from assay.views import resources
from assay.views.routing import further, in_words
from assay.workbench import playground
from assay.workbench.gateway import faults
from assay.workbench.session import Session, open_session

ROOT = Path(__file__).resolve().parents[2]


def opened_page(name: str) -> AppTest:
    """A page by its name."""
    page = AppTest.from_file(str(ROOT / "src/assay/views/shell.py"), default_timeout=60).run()
    page.switch_page(str(ROOT / f"pages/{name}.py")).run()
    assert not page.exception
    return page


def test_faults_are_applied_to_the_sandbox_and_cleared(session: Session) -> None:
    """What is chosen on the settings page is what calls meet from then on, until it is cleared."""
    page = opened_page("settings")
    page.multiselect(key="settings.faults").select("503").run()
    page.slider(key="settings.fault_share").set_value(40).run()
    page.button(key="settings.fault_apply").click().run()
    applied = [tuple(one) for one in faults.faults(session)]
    page.button(key="settings.fault_clear").click().run()

    assert not page.exception
    assert applied == [("503", 0.4, "")]
    assert faults.faults(session) == []


def test_faults_are_not_offered_for_a_real_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another gateway answers there is nothing to set."""
    with SandboxServer() as server:
        gateway = Gateway("openrouter", server.base_url)
        with open_session(Settings(database_url=f"sqlite:///{tmp_path}/a.db"), gateway=gateway) as session:
            monkeypatch.setattr(resources, "get_runtime", lambda: session.runtime)
            page = opened_page("settings")

    assert "settings.faults" not in {one.key for one in page.multiselect}


def test_examination_shows_every_finding_and_the_links(session: Session) -> None:
    """The doctor's findings stand on the settings page, with the gateway's own pages."""
    page = opened_page("settings")
    page.button(key="settings.doctor").click().run()

    said = " ".join(block.value for block in [*page.markdown, *page.caption])
    assert not page.exception
    assert "database integrity" in said
    assert "https://status.openrouter.ai/" in said


def test_models_page_says_who_is_moderated(session: Session) -> None:
    """The table has the column, and the picker of the playground says it too."""
    page = opened_page("models")
    frame: Any = page.dataframe[0].value
    pickers = opened_page("playground").multiselect(key="playground.models").options

    assert dict(zip(frame["Model"], frame["Moderated"], strict=True))["sandbox/prism"] == "yes"
    assert next(one for one in pickers if one.startswith("sandbox/prism")).endswith("moderated")


def test_routing_of_the_playground_is_sent_and_shown(session: Session) -> None:
    """Every part of the routing that was set is in the contestant that is asked."""
    page = opened_page("playground")
    page.selectbox(key="playground.routing.sort").select("price")
    page.multiselect(key="playground.routing.quantizations").select("int8").select("fp8")
    page.number_input(key="playground.routing.max_completion").set_value(20.0)
    page.toggle(key="playground.routing.require").set_value(True)
    page.toggle(key="playground.routing.deny").set_value(True)
    page.toggle(key="playground.routing.fallbacks").set_value(False).run()
    page.button(key="playground.run").click().run()

    (past,) = playground.history(session, limit=5)
    sent = playground.watch(session, past.id).panes[0].contestant.provider
    assert sent == {
        "sort": "price",
        "quantizations": ["int8", "fp8"],
        "max_price": {"completion": 20.0},
        "require_parameters": True,
        "data_collection": "deny",
        "allow_fallbacks": False,
    }
    assert any("data_collection deny" in block.value.replace("\\", "") for block in page.caption)


def test_mistyped_routing_is_refused_with_the_nearest_name(session: Session) -> None:
    """`zdrr` protects nothing: it is not sent, and the page says what was meant."""
    page = opened_page("playground")
    page.text_area(key="playground.routing.json").set_value('{"zdrr": true}').run()

    assert any("zdr" in box.value and "zdrr" in box.value for box in page.error)
    assert "playground.run" not in {button.key for button in page.button}


def test_calculator_of_a_model_adds_up(session: Session) -> None:
    """Sizes in, the exact bill out; a key that the model has no price for is said to be unknown."""
    script = AppTest.from_function(_calculator, default_timeout=30)
    page = script.run()
    page.number_input(key="models.price.prompt").set_value(1_000_000)
    page.number_input(key="models.price.completion").set_value(1_000_000)
    page.number_input(key="models.price.calls").set_value(2).run()
    known = [block.value for block in page.markdown]
    page.number_input(key="models.price.searches").set_value(1).run()

    assert not page.exception
    assert any("\\$9.60" in text for text in known), known
    assert any("Unknown" in box.value for box in page.warning)


def _calculator() -> None:
    from assay.views import resources
    from assay.views.models import calculator

    calculator.show(resources.get_session(), "sandbox/scribe")


@pytest.mark.parametrize("text", ["{", "[]", '{"sort": "cheapest"}', '{"only": "northwind"}'])
def test_further_routing_that_cannot_be_meant_is_refused(text: str) -> None:
    """No JSON, no object, and values that the gateway would not understand."""
    with pytest.raises(SettingsError):
        further(text)


def test_routing_is_said_in_a_line() -> None:
    """Lists, limits and switches, each in its words."""
    assert in_words({"only": ["a", "b"], "zdr": True, "allow_fallbacks": False, "max_price": {"prompt": 1}}) == (
        "only a, b · zdr · no fallbacks · max_price prompt 1"
    )
