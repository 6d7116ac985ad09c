"""The pages' door to the workbench: the one place where they get hold of it, so that tests can give them another."""

from __future__ import annotations

from assay.workbench import runtime as workbench
from assay.workbench.runtime import Runtime
from assay.workbench.session import Session


def get_runtime() -> Runtime:
    """The runtime of the process. Raises AssayError in words when it cannot be opened."""
    return workbench.runtime()


def get_session() -> Session:
    """The session of who looks at a page. Raises AssayError in words when the workbench cannot be opened."""
    return Session(get_runtime())
