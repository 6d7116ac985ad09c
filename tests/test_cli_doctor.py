"""doctor, fees and models MODEL on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.test_cli import assay


def test_doctor_says_what_is_well_and_exits_by_what_failed(tmp_path: Path) -> None:
    """Exit 0 where nothing failed, 1 where something did; as JSON too, with the gateway's links."""
    well = assay(tmp_path, "doctor", "--json")
    broken = assay(tmp_path, "doctor", ASSAY_DATABASE_URL="sqlite:////proc/none/a.db")

    found = json.loads(well.stdout)
    assert well.returncode == 0, well.stderr
    assert {one["state"] for one in found["findings"]} <= {"ok", "warn"}
    assert found["links"]["Status"] == "https://status.openrouter.ai/"
    assert broken.returncode == 1
    assert "fail  database" in broken.stdout
    assert "Traceback" not in broken.stderr


def test_doctor_live_shows_its_cost_and_wants_a_yes(tmp_path: Path) -> None:
    """Without --yes, and nobody to ask, nothing is sent; with it every path is gone."""
    asked = assay(tmp_path, "doctor", "--live")
    gone = assay(tmp_path, "doctor", "--live", "--yes")

    assert asked.returncode == 2
    assert "at most $" in asked.stderr
    assert gone.returncode == 0, gone.stdout
    assert "live: streamed answer" in gone.stdout
    assert "live: generation record" in gone.stdout


def test_fees_are_all_three_numbers(tmp_path: Path) -> None:
    """By card with its minimum, in crypto, and own provider keys by both rules."""
    small = json.loads(assay(tmp_path, "fees", "10", "--json").stdout)
    large = assay(tmp_path, "fees", "30000", "--requests", "2000000").stdout
    wrong = assay(tmp_path, "fees", "much")

    assert (small["card_fee_usd"], small["crypto_fee_usd"], small["byok_fee_usd"]) == ("0.8", "0.5", "0")
    assert "$1,650.00" in large
    assert "$250.00" in large
    assert "$750.00" in large
    assert wrong.returncode == 2


def test_models_of_a_whole_id_shows_its_providers(tmp_path: Path) -> None:
    """Price, quantization, uptime, state and moderation of one model; part of an id still lists."""
    shown = assay(tmp_path, "models", "sandbox/prism").stdout
    one = json.loads(assay(tmp_path, "models", "sandbox/flaky", "--json").stdout)
    listed = assay(tmp_path, "models", "pri").stdout

    assert "moderated            yes" in shown
    assert "Southgate" in shown
    assert "web_search 0.01" in shown
    assert [endpoint["status"] for endpoint in one[0]["endpoints"]] == ["degraded (-2)"] * 2
    assert "sandbox/prism" in listed
    assert "Southgate" not in listed
