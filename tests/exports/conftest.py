"""Fixtures of the export tests."""

from export_records import folder, rt, run_id

__all__ = ["folder", "rt", "run_id"]
