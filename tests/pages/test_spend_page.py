"""The spend page through its widgets: nothing spent, sums as in the ledger, filters, and the charts' own figures."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from assay.domain.completion import Cost
from assay.domain.messages import CompletionRequest, Message
from assay.money import format_usd
from assay.runs.dispatch import CallContext
from assay.store import ledger
from assay.store.spend import SpendFilter
from assay.views.charts import bars
from assay.views.charts import spend as charts_spend
from assay.workbench.session import Session
from assay.workbench.spending import spend
from assay.workbench.spending.days import zone_of
from store_steps import open_intent

ROOT = Path(__file__).resolve().parents[2]
CENT = 10**10
DAY = 86_400_000


def pay(session: Session, model: str, pico: int | None, *, days_ago: int = 0, purpose: str = "playground") -> None:
    """A settled call."""
    now = ledger.now_ms()
    intent = ledger.Intent(
        id=ledger.new_id(),
        created_ms=now - days_ago * DAY,
        gateway="sandbox",
        purpose=purpose,
        model=model,
        owner="me",
        bound_pico=5 * CENT,
    )
    cost = Cost(pico, "billed" if pico is not None else "unknown")
    ended = ledger.Settlement(call_id=intent.id, settled_ms=now, outcome="ok", cost=cost, prompt_tokens=10)
    session.store.writer.call(lambda c: (open_intent(c, intent), ledger.settle(c, ended)))


def opened_page(**query: str) -> AppTest:
    """The spend page inside the frame, without an exception."""
    at = AppTest.from_file(str(ROOT / "src" / "assay" / "views" / "shell.py"), default_timeout=30).run()
    at.switch_page(str(ROOT / "pages" / "spend.py"))
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def test_nothing_spent_says_so_and_leads_to_the_playground(session: Session) -> None:
    """An empty ledger: words and a button."""
    at = opened_page()

    assert "Nothing is spent yet" in at.info[0].value
    assert at.button(key="spend.first").label == "Open the playground"


def test_tiles_and_bars_say_what_the_ledger_holds(session: Session) -> None:
    """Known money is summed, unknown money is named beside it and never drawn."""
    pay(session, "a/dear", 30 * CENT)
    pay(session, "a/cheap", 2 * CENT, days_ago=40, purpose="run")
    pay(session, "a/cheap", None)
    at = opened_page()

    assert [m.value for m in at.metric][:2] == [format_usd(32 * CENT), format_usd(30 * CENT)]
    assert any(w.value.startswith("1 call of unknown cost, at most \\$0.05") for w in at.warning)
    drawn = "".join(element.proto.body for element in at.get("html"))
    assert drawn.index("a/dear") < drawn.index("a/cheap")
    assert "$0.020 + 1 unknown" in drawn


def test_filters_choose_and_stand_in_the_address(session: Session) -> None:
    """A model and a period from the address narrow the sums."""
    pay(session, "a/dear", 30 * CENT)
    pay(session, "a/cheap", 2 * CENT)
    pay(session, "a/cheap", 7 * CENT, days_ago=40)
    at = opened_page(**{"spend.model": "a/cheap", "spend.period": "7 days"})

    assert any("Chosen: 1 call," in c.value for c in at.caption)
    at.selectbox(key="spend.model").set_value(None)
    at.run()
    assert any("Chosen: 2 calls" in c.value for c in at.caption)


def test_report_adds_up_to_the_ledger_on_every_side(session: Session) -> None:
    """Each side of a report has the same total, and the days since a moment are those of the ledger."""
    for number in range(6):
        pay(session, f"a/{number % 3}", None if number == 4 else number * CENT, days_ago=number)
    zone = zone_of(None)
    found = spend.report(session, SpendFilter(), zone=zone)
    chosen = spend.since_days(3, zone=zone)

    assert found.sum == spend.spent(session, SpendFilter())
    for lines in found.by.values():
        assert sum(line.sum.known_pico for line in lines) == found.sum.known_pico
        assert sum(line.sum.calls for line in lines) == 6
    assert chosen.start_ms is not None
    assert found.since(chosen.start_ms, zone=zone) == spend.spent(session, chosen)


def test_days_are_drawn_on_a_time_axis_dearest_model_first() -> None:
    """A bar per day and model, in dollars, on dates."""
    figure = charts_spend.stacked_days([("2026-11-01", "a/b", 10**12), ("2026-11-03", "a/c", 3 * 10**12)])

    assert [(bar.name, list(bar.y)) for bar in figure.data] == [("a/c", [0.0, 3.0]), ("a/b", [1.0, 0.0])]
    assert figure.layout.xaxis.type == "date"


def test_bars_are_escaped_and_counted_past_the_tenth() -> None:
    """A name cannot become markup; what is not drawn is said."""
    drawn = bars.as_html([bars.Bar("<img src=x>", 2.0, "$2"), *[bars.Bar("b", 1.0, "$1")] * 11], colours={}, label="x")

    assert "<img" not in drawn
    assert "width:50.0%" in drawn
    assert "and 2 more in the table" in drawn


def test_calls_in_flight_are_not_told_as_lost(session: Session) -> None:
    """What is under way stands apart from what ended with an unknown cost."""
    dispatcher = session.dispatcher
    request = CompletionRequest("sandbox/swift", (Message("user", "hello"),), {"max_tokens": 10})
    intents = [dispatcher.intent(request, CallContext(purpose="playground")) for _ in range(3)]
    for one in intents:
        session.store.writer.call(lambda c, one=one: open_intent(c, one))
    settlement = ledger.Settlement(call_id=intents[0].id, settled_ms=ledger.now_ms(), outcome="cancelled")
    session.store.writer.call(lambda c: ledger.settle(c, settlement))

    found = spend.report(session, SpendFilter())

    assert (found.in_flight.calls, found.sum.calls, found.sum.unknown_calls) == (2, 1, 1)
    assert [line.sum.unknown_calls for line in found.by["model"]] == [1]
    assert (found.in_flight.bound_pico, found.sum.unknown_bound_pico) == (
        sum(one.bound_pico or 0 for one in intents[1:]),
        intents[0].bound_pico or 0,
    )


def test_unknown_costs_are_settled_by_ones_word_after_a_look_at_the_bill(session: Session) -> None:
    """The gateway is asked first; settling wants a choice and the box; then nothing is unknown."""
    pay(session, "a/dear", 30 * CENT)
    pay(session, "a/cheap", None)
    at = opened_page()
    at.button(key="spend.recover").click()
    at.run()
    assert "does not tell" in at.toast[0].value
    assert at.button(key="spend.settle.now").disabled

    at.radio(key="spend.settle.at").set_value(True)
    at.run()
    at.checkbox(key="spend.settle.sure").check()
    at.run()
    at.button(key="spend.settle.now").click()
    at.run()

    found = spend.spent(session, SpendFilter())
    assert (found.known_pico, found.unknown_calls) == (35 * CENT, 0)
    assert not at.exception
