"""One connection pool under httpx for the whole process.

httpx is the interface; below it our own connections carry the bytes (connections.py), or aiohttp's where the
environment names a proxy, because httpx's own pool scans all its connections for every request (bench/client.py).
"""

from __future__ import annotations

import asyncio
from functools import cache
from ssl import SSLContext
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from assay.errors import SettingsError
from assay.openrouter.connections import ConnectionPool
from assay.openrouter.failures import FailureKind
from assay.openrouter.hosts import is_forbidden, is_near


@cache
def tls_context() -> SSLContext:
    """The one TLS context of the process (making one costs 19 ms)."""
    return httpx.create_ssl_context()


def pooled_transport() -> httpx.AsyncBaseTransport:
    """A transport with an unbounded pool (the pacer bounds calls), environment proxies, no cookies, no redirects."""
    context = tls_context()
    if not getproxies():
        return ConnectionPool(context)
    from assay.openrouter.proxied import ProxiedTransport

    return ProxiedTransport(context)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop for the client: uvloop's, where it exists, halves the CPU of a call (bench/client.py)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def checked_base_url(url: str, *, has_key: bool) -> str:
    """The base URL without a trailing slash. Raises SettingsError where a key would not be safe with it.

    https only, but for loopback and private hosts; no user part, query or fragment, so that the host is what it seems;
    never a link-local or metadata address, in whatever form it is written, with or without a key.
    """
    cure = "Set OPENROUTER_BASE_URL to something like https://openrouter.ai/api/v1."
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"The base URL {url!r} is not a URL.", cure=cure) from error
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f"The base URL {url!r} needs http or https and a host.", cure=cure)
    if "@" in parts.netloc or "\\" in url or parts.query or parts.fragment:
        raise SettingsError(f"The base URL {url!r} may not hold a user, a query or a fragment.", cure=cure)
    if is_forbidden(host):
        raise SettingsError(f"The base URL {url!r} names an address at which no gateway stands.", cure=cure)
    if parts.scheme == "http" and has_key and not is_near(host):
        raise SettingsError(f"The base URL {url!r} would send the key unencrypted.", cure=cure)
    return url.strip().rstrip("/")


_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.PoolTimeout,
    httpx.WriteError,
)


def kind_of_transport_error(error: Exception) -> FailureKind:
    """The failure kind of what the transport raised: only an error before the request was sent is surely unbilled."""
    return "connection" if isinstance(error, _UNSENT) else "reset"
