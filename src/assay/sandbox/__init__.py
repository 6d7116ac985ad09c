"""An imitation of OpenRouter over real HTTP on loopback: simulated answers, invented prices. Knows nothing of Assay."""

from assay.sandbox.config import Fault, SandboxConfig
from assay.sandbox.server import SandboxServer

__all__ = ["Fault", "SandboxConfig", "SandboxServer"]
