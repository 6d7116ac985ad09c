"""What every face tells of the money of a run: (known pico-dollars, calls of unknown cost).

of_workbench   run, list of runs, contestants, board, Spend, and the ledger itself
of_exports     the ten formats, read back as their readers do
of_commands    `assay runs`, `show` and `spend` as they print JSON, and `export` to a file
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from sqlalchemy import func, select

from assay.exports import jsonl
from assay.money import to_pico
from assay.store.tables import CALL
from assay.workbench.results import exports, standing
from assay.workbench.running import runs
from assay.workbench.running.progress import SUMS
from assay.workbench.session import Session
from assay.workbench.spending import spend
from assay.workbench.spending.spend import SpendFilter

Told = dict[str, tuple[int, int]]
SPENT = re.compile(r"\$([0-9.]+) on [0-9,]+ calls(?:.*?, ([0-9,]+) of them of unknown cost)?")


def of_workbench(session: Session, run_id: str) -> Told:
    """What pages and commands are made from."""
    with session.store.read() as connection:
        query = select(func.sum(CALL.c.cost_pico), func.count(), func.count(CALL.c.cost_pico))
        row = connection.execute(query.where(CALL.c.run_id == run_id)).one()
    session.memos.of(SUMS).clear()
    state, board = runs.progress(session, run_id), standing.scoreboard(session, run_id)
    listed = next(line for line in runs.list_runs(session) if line.id == run_id)
    summed = spend.report(session, SpendFilter(run_id=run_id)).sum
    return {
        "ledger": (int(row[0]), row[1] - row[2]),
        "run": (state.spent_pico, state.unknown_calls),
        "list of runs": (listed.spent_pico, listed.unknown_calls),
        "contestants": (
            sum(c.spent_pico for c in state.contestants) + state.judging.known_pico,
            sum(c.unknown_calls for c in state.contestants) + state.judging.unknown_calls,
        ),
        "board": (
            sum(line.known_pico + line.judging_pico for line in board),
            sum(line.unknown_calls + line.judging_unknown for line in board),
        ),
        "Spend": (summed.known_pico, summed.unknown_calls),
    }


def written(session: Session, run_id: str) -> dict[str, bytes]:
    """Every export of a run, by its kind."""
    found = {}
    for kind in exports.KINDS:
        target = io.BytesIO()
        exports.export_run(session, run_id, kind, target)
        found[kind] = target.getvalue()
    return found


def of_exports(files: Mapping[str, bytes]) -> Told:
    """The sums of exports that hold every cell, call or contestant."""
    cells = list(jsonl.read(files["jsonl"].splitlines()))
    results = json.loads(files["promptfoo"])["results"]["results"]
    archived = [json.loads(line) for line in files["archive"].splitlines()]
    calls = [call for line in archived for call in line.get("calls", ())]
    calls += [line for line in archived if line.get("kind") == "call"]
    unknown = sum(c.unknown_calls + c.judging_unknown for c in cells)
    foo = sum((_usd(r["metadata"][name]) for r in results for name in ("knownUsd", "judgingUsd")), Decimal(0))
    return {
        **{
            f"{kind}: cells": (
                _columns(files[kind], "known_usd", "judging_usd"),
                _count(files[kind], "unknown_calls", "judging_unknown_calls"),
            )
            for kind in ("csv", "wide")
        },
        "tidy: calls": (_columns(files["tidy"], "cost_usd"), unknown),
        "jsonl: cells": (sum(c.known_pico + c.judging_pico for c in cells), unknown),
        "jsonl: calls": (
            sum(call.cost_pico or 0 for c in cells for call in c.calls),
            sum(call.cost_pico is None for c in cells for call in c.calls),
        ),
        "archive: calls": (sum(c["cost_pico"] or 0 for c in calls), sum(c["cost_pico"] is None for c in calls)),
        "promptfoo: cells": (to_pico(foo), unknown),
        "junit: suites": (_junit(files["junit"]), unknown),
        "markdown: sum": _spent(files["markdown"].decode()),
        "evidence: sum": _spent(re.sub(r"<[^>]*>", "", files["evidence"].decode())),
        **_workbook(files["xlsx"], unknown),
    }


def of_commands(folder: Path, database: str, run_id: str) -> Told:
    """What a user reads from the command line, in processes of their own."""
    found: Told = {}
    listed = next(line for line in _json(folder, database, "runs", "--json") if line["run"] == run_id)
    for name, told in (("runs", listed), ("show", _json(folder, database, "show", run_id, "--json"))):
        found[f"assay {name} --json"] = (to_pico(_usd(told["cost_usd"])), told["unknown_calls"])
    board = told["scoreboard"]
    found["assay show --json, board"] = (
        to_pico(sum((_usd(line["known_usd"]) + _usd(line["judging_usd"]) for line in board), Decimal(0))),
        sum(line["unknown_calls"] + line["judging_unknown_calls"] for line in board),
    )
    whole = _json(folder, database, "spend", "--json")
    found["assay spend --json"] = (to_pico(_usd(whole["known_usd"])), whole["unknown_calls"])
    found["assay spend --json, models"] = (
        to_pico(sum((_usd(line["known_usd"]) for line in whole["models"]), Decimal(0))),
        sum(line["unknown_calls"] for line in whole["models"]),
    )
    outs = {kind.name: folder / f"told.{kind.suffix}" for kind in exports.KINDS.values()}
    _assay(folder, database, "export", run_id, *(word for path in outs.values() for word in ("--out", str(path))))
    files = {kind: path.read_bytes() for kind, path in outs.items()}
    return found | {f"assay export, {name}": amount for name, amount in of_exports(files).items()}


def _assay(folder: Path, database: str, *words: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OPENROUTER_", "ASSAY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "assay", *words],
        cwd=folder,
        env={**clean, "ASSAY_DATABASE_URL": database},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout


def _json(folder: Path, database: str, *words: str) -> Any:
    return json.loads(_assay(folder, database, *words))


def _usd(text: str) -> Decimal:
    """An amount as it is told: plain digits."""
    assert re.fullmatch(r"\d+(\.\d+)?", text), text
    return Decimal(text)


def _columns(table: bytes, *ends: str) -> int:
    """The pico-dollars of all columns whose names end so."""
    head, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    places = [n for n, name in enumerate(head) if name.endswith(ends)]
    return to_pico(sum((_usd(row[n] or "0") for row in rows for n in places), Decimal(0)))


def _count(table: bytes, *ends: str) -> int:
    head, *rows = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    places = [n for n, name in enumerate(head) if name.endswith(ends)]
    return sum(int(row[n] or 0) for row in rows for n in places)


def _junit(file: bytes) -> int:
    wanted = ("known_usd", "judging_usd")
    found = [each.attrib for each in ET.fromstring(file).iter("property")]
    return to_pico(sum((_usd(each["value"]) for each in found if each["name"] in wanted), Decimal(0)))


def _spent(text: str) -> tuple[int, int]:
    found = SPENT.search(text)
    assert found is not None
    return to_pico(_usd(found[1])), int((found[2] or "0").replace(",", ""))


def _workbook(file: bytes, unknown: int) -> Told:
    book = load_workbook(io.BytesIO(file), read_only=True)
    found = {"xlsx: Spend": (_sheet(book["Spend"], "known_usd"), unknown)}
    rows = [name for name in book.sheetnames if name.startswith("Rows")]
    found["xlsx: cells"] = (sum(_sheet(book[name], "known_usd", "judging_usd") for name in rows), unknown)
    return found


def _sheet(sheet: Any, *columns: str) -> int:
    """The pico-dollars of columns, whose numbers are exact to 15 digits: far below the first that is lost."""
    head, *rows = sheet.iter_rows(values_only=True)
    places = [head.index(name) for name in columns]
    return sum(to_pico(Decimal(str(row[place] or 0))) for row in rows for place in places)
