"""Serves the sandbox over real HTTP on loopback, from a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

import uvicorn

from assay.sandbox.app import Sandbox, create_app
from assay.sandbox.config import SandboxConfig


class SandboxServer:
    """A sandbox on a loopback port; use it as a context manager, or `start()` and `stop()`.

    port: 0 takes a free one.
    """

    def __init__(self, config: SandboxConfig | None = None, *, port: int = 0) -> None:
        self.sandbox = Sandbox(config or SandboxConfig())
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        settings = uvicorn.Config(
            create_app(self.sandbox),
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=120,
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._serve, name="assay-sandbox", daemon=True)

    @property
    def base_url(self) -> str:
        """The base URL for a client, like OpenRouter's."""
        return f"http://127.0.0.1:{self.port}/api/v1"

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> str:
        """Starts serving and returns the base URL when it answers."""
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("The sandbox did not start.")
            time.sleep(0.005)
        return self.base_url

    def stop(self) -> None:
        """Stops serving; open streams are cut."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

    def __enter__(self) -> SandboxServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
