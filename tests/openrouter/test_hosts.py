"""Where a host really points at, in every way in which an address can be written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import SettingsError
from assay.openrouter.hosts import address_of, is_forbidden, is_loopback, is_near
from assay.openrouter.transport import checked_base_url

METADATA = (
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0xa9.0xfe.0xa9.0xfe",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "169.254.0.1",
    "0.0.0.0",
    "0",
    "0x0",
    "[::]",
    "[::ffff:0.0.0.0]",
    "0.1.2.3",
    "100.100.100.200",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "224.0.0.1",
    "\uff11\uff16\uff19.254.169.254",
    "169%2e254%2e169%2e254",
    "169\u3002254\u3002169\u3002254",
)


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("has_key", [True, False])
def test_metadata_address_in_any_form_is_refused(host: str, has_key: bool) -> None:
    """Neither http nor https, with or without a key: no gateway stands there."""
    for scheme in ("http", "https"):
        with pytest.raises(SettingsError):
            checked_base_url(f"{scheme}://{host}/v1", has_key=has_key)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "x.localhost.", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
)
def test_loopback_in_any_form_may_be_asked_without_tls(host: str) -> None:
    """A key does not leave the machine there."""
    assert is_loopback(host)
    assert checked_base_url(f"http://{host}:8000/v1", has_key=True)


@pytest.mark.parametrize("host", ["example.com", "8.8.8.8", "134744072", "[::ffff:8.8.8.8]", "127.0.0.1.example.com"])
def test_remote_host_needs_tls_for_a_key(host: str) -> None:
    """A public address stays public however it is written."""
    assert not is_near(host)
    assert not is_forbidden(host)
    with pytest.raises(SettingsError):
        checked_base_url(f"http://{host}/v1", has_key=True)


@given(st.ip_addresses(v=4))
def test_every_form_of_an_address_is_the_same_address(address: ipaddress.IPv4Address) -> None:
    """Decimal, hexadecimal, octal and mapped forms agree with the plain one in every answer."""
    number = int(address)
    octal = ".".join(f"0{part:o}" for part in address.packed)
    forms = [str(address), f"{address}.", str(number), hex(number), octal, f"::ffff:{address}", f"[::ffff:{address}]"]

    assert {address_of(form) for form in forms} == {address}
    assert len({is_forbidden(form) for form in forms}) == 1
    assert len({is_loopback(form) for form in forms}) == 1


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    """Nothing that stands where a host belongs raises."""
    assert not (is_near(text) and is_forbidden(text))
