"""What a host name in a URL really points at, in every way in which an address can be written."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from urllib.parse import unquote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LOCAL_METADATA = frozenset(
    {
        ipaddress.ip_address("100.100.100.200"),
        ipaddress.ip_address("192.0.0.192"),
        ipaddress.ip_address("168.63.129.16"),
        ipaddress.ip_address("fd00:ec2::254"),
        ipaddress.ip_address("fd20:ce::254"),
    }
)
"""Where clouds answer for a machine's secrets outside the link-local range."""
_METADATA_NAMES = (
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def plain_host(host: str) -> str:
    """The name as it is looked up: decoded, in one case, without brackets, zone and trailing dots."""
    name = unicodedata.normalize("NFKC", unquote(host)).strip().lower().strip("[]")
    return name.partition("%")[0].replace("\u3002", ".").rstrip(".")


def address_of(host: str) -> Address | None:
    """The address that a host is written as, a mapped IPv4 address unwrapped; None: it is a name.

    Decimal, hexadecimal, octal and short forms are addresses too: the system's resolver takes them.
    """
    name = plain_host(host)
    try:
        return _unwrapped(ipaddress.ip_address(name))
    except ValueError:
        pass
    # inet_aton ignores what follows a space, and takes an empty text for nothing.
    if not name or any(mark not in "0123456789abcdefx." for mark in name):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError:
        return None


def _unwrapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _reached(address: Address) -> Address:
    """The IPv4 address that a translator (NAT64, 6to4) or an old stack would go to; or else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _NAT64) or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and nobody else can be meant by it."""
    address = address_of(host)
    if address is not None:
        return address.is_loopback
    name = plain_host(host)
    return name == "localhost" or name.endswith(".localhost")


def is_near(host: str) -> bool:
    """Whether a host is this machine or stands in a private network."""
    address = address_of(host)
    return is_loopback(host) or (address is not None and address.is_private and not is_forbidden(host))


def is_forbidden(host: str) -> bool:
    """Whether no gateway can stand there: link-local and metadata addresses, the unspecified one, multicast."""
    address = address_of(host)
    if address is None:
        return plain_host(host) in _METADATA_NAMES
    address = _reached(address)
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _LOCAL_METADATA
        or (isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 == 0)
    )
