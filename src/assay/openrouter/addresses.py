"""Connecting to a host that may have several addresses, some of which do not answer (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from aiohappyeyeballs import AddrInfoType, start_connection

NEXT_AFTER_S = 0.25
"""Seconds after which the next address is tried beside the one that has not answered yet."""
AGAIN_AFTER_S = (0.05, 0.2)
"""Seconds before a host that refused or dropped the connection is tried again: nothing was sent to it yet."""


class Addresses:
    """The addresses of one host: which there are, and which answered last."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._last: object = None

    async def connected(self) -> socket.socket:
        """A connected socket, to the address that answered last if it still does. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        places: list[AddrInfoType] = sorted(found, key=lambda place: place[4] != self._last)
        try:
            connected = await start_connection(places, happy_eyeballs_delay=NEXT_AFTER_S, loop=loop)
        except RuntimeError as error:  # uvloop's, where a connection cannot be made
            raise OSError(str(error)) from error
        with suppress(OSError):
            self._last = connected.getpeername()
        return connected
