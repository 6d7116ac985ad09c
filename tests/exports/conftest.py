"""Fixtures of the export tests."""

from export_records import folder, run_id, session

__all__ = ["folder", "run_id", "session"]
