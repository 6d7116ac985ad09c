"""Fixtures of the tests with other tools."""

from promptfoo_driver import promptfoo, promptfoo_program

__all__ = ["promptfoo", "promptfoo_program"]
