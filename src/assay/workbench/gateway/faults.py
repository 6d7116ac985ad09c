"""Faults on demand: what the built-in sandbox lets calls meet, for trying out how a run bears it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import DataError, SettingsError
from assay.sandbox.config import Fault
from assay.sandbox.fault_kinds import FAULTS, parse_fault

if TYPE_CHECKING:
    from assay.workbench.session import Session


class FaultSetting(NamedTuple):
    """A fault that calls meet."""

    kind: str
    rate: float
    """Share of the calls, 0 to 1."""
    model: str = ""
    """Model id; empty: every model."""


def fault_kinds() -> Mapping[str, str]:
    """Every fault with what it is like."""
    return FAULTS


def parse_faults(given: Sequence[str]) -> tuple[Fault, ...]:
    """The faults that KIND[:RATE][@MODEL] mean. Raises SettingsError in words."""
    try:
        return tuple(parse_fault(text) for text in given)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def faults(session: Session) -> list[FaultSetting]:
    """The faults that calls meet now; none where no sandbox of our own answers."""
    box = session.built_in_sandbox
    return [] if box is None else [FaultSetting(f.kind, f.rate, f.model) for f in box.config.faults]


def set_faults(session: Session, wanted: Sequence[FaultSetting]) -> None:
    """Lets calls meet these faults from now on. Raises DataError where a real gateway answers."""
    box = session.built_in_sandbox
    if box is None:
        raise DataError("Faults can be set for the built-in sandbox only; this is a real gateway.")
    box.meet(parse_faults([f"{one.kind}:{one.rate}{f'@{one.model}' if one.model else ''}" for one in wanted]))
