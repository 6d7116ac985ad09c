"""An imitation of OpenRouter over real HTTP on loopback: simulated answers, invented prices. Knows nothing of Assay."""

from typing import TYPE_CHECKING, Any

from assay.sandbox.config import Fault, SandboxConfig

if TYPE_CHECKING:
    from assay.sandbox.server import SandboxServer

__all__ = ["Fault", "SandboxConfig", "SandboxServer"]


def __getattr__(name: str) -> Any:
    """The server, when it is asked for: a command that only names faults does not wait for a web server's import."""
    if name != "SandboxServer":
        raise AttributeError(name)
    from assay.sandbox.server import SandboxServer

    return SandboxServer
