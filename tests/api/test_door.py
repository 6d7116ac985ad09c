"""Who is let in, and what a request may hold: asked of every route."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_driver import ASK, AUTH, TOKEN, answer_of, calls, connected, raw_request, service, until

from assay.api.door import Door, Rules, host_allowed, origin_allowed
from assay.api.service import create_routes
from assay.workbench.session import Session

OPEN = {("GET", "/health"), ("GET", "/docs"), ("GET", "/openapi.json")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Session]]:
    """One running service for all that changes nothing."""
    with service(tmp_path_factory.mktemp("door"), allowed_hosts=["assay.example.com"]) as found:
        yield found


def routes() -> list[tuple[str, str]]:
    """Every route of the service with its method."""
    app = create_routes(lambda: None)  # type: ignore[arg-type, return-value]
    found = [(method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods]
    return sorted(found)


ODD = [("POST", "/nowhere"), ("POST", "/x/health"), ("POST", "/health"), ("PUT", "/docs"), ("DELETE", "/v1/models")]


@pytest.mark.parametrize(("method", "path"), [*routes(), *ODD])
def test_every_route_asks_for_the_token_before_the_body(served: tuple[str, Session], method: str, path: str) -> None:
    """401 though not a byte of the announced body was sent; only three pages that hold no data are open."""
    url, _ = served
    with connected(url) as connection:
        head = (
            f"{method} /api{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30000000\r\nConnection: close\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = connection.recv(65536)

    expected = b"200" if (method, path) in OPEN else b"401"
    assert answer.split(b" ")[1] == expected


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/chat/completions/health",
        "/api/health/",
        "/api//health",
        "/api/x/docs",
        "/api/%68ealth/x",
        "/health",
        "/api/health;x",
    ],
)
def test_path_that_resembles_an_open_one_is_closed(served: tuple[str, Session], path: str) -> None:
    """The open paths are exact: what merely ends like one asks for the token, or does not exist."""
    url, _ = served
    answer = httpx.get(url.removesuffix("/api") + path)

    assert answer.status_code in (401, 404)


@pytest.mark.parametrize("page", ["/docs", "/openapi.json"])
def test_description_shows_nothing_of_the_data_and_loads_nothing(served: tuple[str, Session], page: str) -> None:
    """It is the same for everybody, names no model, and asks no other host for anything."""
    url, session = served
    bare, known = httpx.get(f"{url}{page}"), httpx.get(f"{url}{page}", headers=AUTH)

    assert bare.status_code == 200
    assert bare.content == known.content
    assert not [model.id for model in session.catalogue.models() if model.id in bare.text]
    assert "http://" not in bare.text.replace("http://127.0.0.1:8600", "")
    assert "https://" not in bare.text
    assert "<script" not in bare.text


def test_description_lists_every_route(served: tuple[str, Session]) -> None:
    """Method, path and the fields of the body."""
    url, _ = served
    schema = httpx.get(f"{url}/openapi.json").json()

    told = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    assert {("POST", "/completions"), ("POST", "/v1/responses"), ("POST", "/v1/embeddings"), ("GET", "/models")} <= told
    body = schema["paths"]["/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"model", "messages", "stream"} <= body["properties"].keys()


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", f"Bearer {TOKEN} x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xe9", f"Bearer x{TOKEN}"],
)
def test_wrong_token_is_401(served: tuple[str, Session], given: str) -> None:
    """Nearly right is wrong."""
    url, _ = served
    answer = httpx.get(f"{url}/models", headers=[(b"authorization", given.encode("latin-1"))])

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("[::1]:80", 200),
        ("LOCALHOST.", 200),
        ("assay.example.com", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost@evil.example", 400),
        ("", 400),
        ("evil.example#localhost", 400),
        ("localhost:port", 400),
        ("169.254.169.254", 400),
        ("0.0.0.0", 400),
    ],
)
def test_host_is_checked(served: tuple[str, Session], host: str, status: int) -> None:
    """A name that somebody else can point here gets no answer, with the token or without."""
    url, _ = served
    assert httpx.get(f"{url}/models", headers={**AUTH, "Host": host}).status_code == status
    assert httpx.get(f"{url}/health", headers={"Host": host}).status_code == status


def test_wildcard_address_answers_to_addresses_not_names() -> None:
    """Bound to every address, any of them will do; a name must be set."""
    assert host_allowed("192.168.1.5:8600", ["0.0.0.0"])
    assert not host_allowed("evil.example", ["0.0.0.0"])
    assert host_allowed("a.example.com", ["*.example.com"])
    assert not host_allowed("example.com.evil", ["*.example.com"])


@given(st.text(max_size=60))
def test_any_host_has_an_answer(host: str) -> None:
    """Nothing that stands in a Host header raises."""
    assert host_allowed(host, ["*"]) in (True, False)


def test_origin_is_exact() -> None:
    """Scheme, name and port must be the server's own, or those of a named origin."""
    own = ("http", "localhost:8501", ["https://app.example.com"])

    assert origin_allowed("http://localhost:8501", *own)
    assert origin_allowed("http://localhost:8501", "ws", *own[1:])
    assert origin_allowed("https://app.example.com", *own)
    for foreign in (
        "http://localhost:8502",
        "http://localhost",
        "https://localhost:8501",
        "null",
        "",
        "http://localhost:8501.evil.example",
        "https://app.example.com:444",
    ):
        assert not origin_allowed(foreign, *own)


def test_cross_origin_is_off_unless_named(served: tuple[str, Session], tmp_path: Path) -> None:
    """No page may read an answer, and no preflight is answered; a named origin may, errors included."""
    url, _ = served
    wanted = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{url}/completions", headers=wanted).status_code == 401
    assert "access-control-allow-origin" not in httpx.get(f"{url}/models", headers={**AUTH, **wanted}).headers

    with service(tmp_path, cors_origins=["https://app.example.com"]) as (open_url, _):
        preflight = httpx.options(f"{open_url}/completions", headers=wanted)
        refused = httpx.get(f"{open_url}/models", headers=wanted)
        other = httpx.options(f"{open_url}/completions", headers={**wanted, "Origin": "https://evil.example"})

    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert refused.headers["access-control-allow-origin"] == "https://app.example.com"
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (401, False)


def test_service_without_a_token_refuses_pages_of_other_origins(tmp_path: Path) -> None:
    """Any site in the user's browser could spend: only programs, and pages of the service itself, are let in."""
    with service(tmp_path, tokenless=True, token=None) as (url, session):
        assert httpx.post(f"{url}/completions", json=ASK).status_code == 200
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert httpx.post(f"{url}/completions", json=ASK, headers=headers).status_code == 403
        assert httpx.post(f"{url}/completions", json=ASK, headers={"Host": "evil.example"}).status_code == 400
        plain = httpx.post(f"{url}/completions", content=json.dumps(ASK), headers={"Content-Type": "text/plain"})
        assert plain.status_code == 415
        assert len(calls(session)) == 1


# -- bodies ------------------------------------------------------------------------------------------------------

HOSTILE: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 422),
    (b"null", 422),
    (b'"x"', 422),
    (b"[" * 100_000, 400),
    (b'{"a":' * 90 + b"1" + b"}" * 90, 400),
    (b'{"model": "\xff\xfe"}', 400),
    (b'{"model": "\\ud800"}', 400),
    (b'{"model": NaN}', 400),
    (b'{"model": Infinity}', 400),
    (b"\xef\xbb\xbf{}", 400),
    ("{}".encode("utf-16"), 400),
    (json.dumps({**ASK, "temperature": 10**400}).encode(), 400),
    (json.dumps({**ASK, "max_tokens": -1}).encode(), 422),
    (b'{"model": "sandbox/scribe", "messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}", 400),
    (json.dumps({**ASK, "provider": 7}).encode(), 422),
    (json.dumps({**ASK, "messages": {}}).encode(), 422),
    (json.dumps({**ASK, "messages": [{"role": "user", "content": {"a": 1}}]}).encode(), 422),
    (json.dumps({**ASK, "model": "x" * 5000}).encode(), 422),
    (json.dumps({**ASK, "model": {}}).encode(), 422),
]


@pytest.mark.parametrize(("body", "status"), HOSTILE)
def test_hostile_body_is_refused_in_words(
    served: tuple[str, Session], caplog: pytest.LogCaptureFixture, body: bytes, status: int
) -> None:
    """The caller's error, told in the gateway's shape; no traceback, and nothing sent."""
    url, session = served
    before = len(calls(session))
    answer = httpx.post(
        f"{url}/v1/chat/completions", content=body, headers={**AUTH, "Content-Type": "application/json"}
    )

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert len(calls(session)) == before
    assert not [record for record in caplog.records if record.exc_info]


NAMES = st.sampled_from(["model", "messages", "role", "n", "input", "provider", "stream"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)
BODIES = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
def test_any_body_is_answered_in_words(served: tuple[str, Session], body: bytes) -> None:
    """Whatever comes, on every route that takes a body: 4xx in JSON."""
    url, _ = served
    with httpx.Client(base_url=url, headers={**AUTH, "Content-Type": "application/json"}) as client:
        for path in ("/completions", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
            answer = client.post(path, content=body)
            assert 400 <= answer.status_code < 500
            assert answer.json()["error"]["message"]


def test_compressed_body_is_refused(served: tuple[str, Session]) -> None:
    """Nothing is unpacked, so nothing can burst."""
    url, _ = served
    headers = {**AUTH, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = httpx.post(f"{url}/completions", content=b"\x1f\x8b", headers=headers)

    assert answer.status_code == 415


def test_too_large_a_body_is_refused_declared_or_not(served: tuple[str, Session]) -> None:
    """413, before it is read where its length is declared."""
    url, _ = served
    with connected(url) as connection:
        request = raw_request("/completions", {}, headers={"Content-Length": str(10**9), "Connection": "close"})
        connection.sendall(request)
        declared = connection.recv(65536)
    chunked = httpx.post(f"{url}/completions", content=(b" " * 1024 * 1024 for _ in range(40)), headers=AUTH)

    assert b" 413 " in declared
    assert chunked.status_code == 413


def test_body_in_small_pieces_takes_no_more_than_its_size() -> None:
    """A caller that sends two bytes at a time costs no memory for each piece."""
    pieces, seen = 30_000, []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/completions",
        "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer t")],
    }
    left = iter(range(pieces))

    async def receive() -> dict[str, Any]:
        number = next(left)
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"%02d" % (number % 100), "more_body": number < pieces - 1}

    async def app(_: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())

    async def send(message: Any) -> None:
        raise AssertionError(message)

    tracemalloc.start()
    asyncio.run(Door(app, Rules(), lambda: "t")(scope, receive, send))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (len(seen[0]["body"]), seen[0]["more_body"]) == (2 * pieces, False)
    assert peak < 1024 * 1024


def test_slow_body_is_refused(tmp_path: Path) -> None:
    """A body that stops coming is not waited for."""
    with (
        service(tmp_path, rules=lambda given: Rules(hosts=given.hosts, pause_s=0.2)) as (url, _),
        connected(url) as connection,
    ):
        connection.sendall(raw_request("/completions", ASK, headers={"Content-Length": "5000"}))

        assert b" 408 " in answer_of_first(connection)


def answer_of_first(connection: Any) -> bytes:
    """The first piece of an answer."""
    found: bytes = connection.recv(65536)
    return found


def test_dropped_body_writes_one_line(served: tuple[str, Session], caplog: pytest.LogCaptureFixture) -> None:
    """A caller that breaks off in the middle of its body is told of once, without a traceback."""
    url, _ = served
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            with connected(url) as connection:
                connection.sendall(raw_request("/completions", ASK, headers={"Content-Length": "5000"}))
                time.sleep(0.05)
        assert until(lambda: len([r for r in caplog.records if "went away" in r.message]) == 5)

    assert not [record for record in caplog.records if record.exc_info or "\n" in record.getMessage()]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 5x\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"No colon\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"A: b\r\n c: folded\r\n",
        b"A\x00b: c\r\n",
    ],
)
def test_odd_head_is_refused(served: tuple[str, Session], caplog: pytest.LogCaptureFixture, head: bytes) -> None:
    """Two lengths, no lengths, folded or broken headers: an answer with 4xx or an end, never a traceback."""
    url, _ = served
    with connected(url) as connection:
        token = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n".encode()
        connection.sendall(b"POST /api/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n" + token + head + b"\r\nhello")
        connection.shutdown(1)
        answer = answer_of(connection)

    assert answer == b"" or answer.split(b" ")[1].startswith(b"4")
    assert not [record for record in caplog.records if record.exc_info]
