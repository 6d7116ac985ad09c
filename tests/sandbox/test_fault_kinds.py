"""Faults by name: every kind can be asked for, in one way of writing."""

from __future__ import annotations

from typing import get_args

import pytest

from assay.sandbox import Fault
from assay.sandbox.config import FaultKind
from assay.sandbox.fault_kinds import FAULTS, parse_fault


def test_every_kind_has_words() -> None:
    """A kind that is added is listed for the command line and the settings page too."""
    assert set(FAULTS) == set(get_args(FaultKind))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429:0.2", Fault("429", rate=0.2)),
        ("402", Fault("402_credits")),
        ("mid_stream_error@sandbox/penny:free", Fault("mid_stream_error", model="sandbox/penny:free")),
        ("503:0.1@sandbox/swift", Fault("503", rate=0.1, model="sandbox/swift")),
        ("PROVIDER_DOWN:1", Fault("provider_down")),
    ],
)
def test_fault_is_read_as_it_is_written(text: str, fault: Fault) -> None:
    """KIND, KIND:RATE, KIND@MODEL and KIND:RATE@MODEL; a bare status is the first kind of it."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "418", "429:2", "429:-0.1", "429:nan", "429:", ":0.2", "429:x@sandbox/swift"])
def test_fault_that_cannot_be_meant_is_refused(text: str) -> None:
    """Neither a kind that is not there nor a rate outside 0 to 1."""
    with pytest.raises(ValueError, match="is no"):
        parse_fault(text)
