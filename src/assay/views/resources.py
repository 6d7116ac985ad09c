"""The one place where pages get hold of the runtime, so that tests can give them another."""

from __future__ import annotations

from assay.workbench import runtime as workbench
from assay.workbench.runtime import Runtime


def get_runtime() -> Runtime:
    """The runtime of the process. Raises AssayError in words when it cannot be opened."""
    return workbench.runtime()
