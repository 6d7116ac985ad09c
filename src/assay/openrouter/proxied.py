"""The transport where the environment names a proxy: aiohttp's connector under httpx, with its errors put right."""

from __future__ import annotations

from ssl import SSLContext

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from assay.openrouter.habits import KEEPALIVE_S


class ProxiedTransport(AiohttpTransport):
    """An unbounded pool with the environment's proxies. Raises httpx's errors only."""

    def __init__(self, tls: SSLContext) -> None:
        def session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S, ssl=tls)
            return aiohttp.ClientSession(
                connector=connector, trust_env=True, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )

        super().__init__(verify=tls, client=session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; only an error while connecting is a ConnectError."""
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectTimeout as error:
            # aiohttp's "server disconnected" comes as a ConnectTimeout although the request had been sent.
            cause = error.__cause__
            sent = isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
            if sent and not isinstance(cause, aiohttp.ClientConnectorError):
                raise httpx.ReadError(str(error)) from error
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise httpx.ConnectError(str(error)) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(str(error)) from error
