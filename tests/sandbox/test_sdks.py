"""The official SDKs against the sandbox: what they parse, a real client of OpenRouter parses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openrouter import OpenRouter
from starlette.routing import Route

from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.sandbox.app import create_app

ASK: dict[str, Any] = {"model": "sandbox/scribe", "messages": [{"role": "user", "content": "Name three rivers"}]}
MANY: dict[str, Any] = {
    "endpoint": "/v1/chat/completions",
    "model": "sandbox/scribe",
    "requests": [{"custom_id": "1", "body": {"messages": ASK["messages"]}}],
}


def _batch(sdk: OpenRouter) -> str:
    return sdk.batch.create_batches(**MANY).id


def _generation(sdk: OpenRouter) -> Any:
    return sdk.generations.get_generation(id=sdk.chat.send(**ASK).id)


WALK: dict[tuple[str, str], Callable[[OpenRouter], Any]] = {
    ("POST", "/chat/completions"): lambda sdk: sdk.chat.send(**ASK).choices[0].message.content,
    ("POST", "/responses"): lambda sdk: sdk.responses.send(model="sandbox/sage", input="Name rivers").output_text,
    ("POST", "/embeddings"): lambda sdk: sdk.embeddings.generate(model="sandbox/vector", input=["a", "b"]).data,
    ("GET", "/embeddings/models"): lambda sdk: sdk.embeddings.list_models().result.data,
    ("POST", "/batches"): _batch,
    ("GET", "/batches"): lambda sdk: [_batch(sdk), sdk.batch.list()],
    ("GET", "/batches/{id}"): lambda sdk: sdk.batch.get_batches(id=_batch(sdk)),
    ("DELETE", "/batches/{id}"): lambda sdk: [sdk.batch.delete(id=_batch(sdk))],
    ("GET", "/models"): lambda sdk: sdk.models.list(output_modalities="all").result.data,
    ("GET", "/models/user"): lambda sdk: sdk.models.list_for_user(security={"bearer": "x"}).result.data,
    ("GET", "/models/count"): lambda sdk: sdk.models.count().data.count,
    ("GET", "/models/{author}/{slug}/endpoints"): lambda sdk: sdk.endpoints.list(author="sandbox", slug="prism").data,
    ("GET", "/model/{author}/{slug}"): lambda sdk: sdk.models.get(author="sandbox", slug="prism").data,
    ("GET", "/endpoints/zdr"): lambda sdk: sdk.endpoints.list_zdr_endpoints().data,
    ("GET", "/providers"): lambda sdk: sdk.providers.list().data,
    ("GET", "/generation"): _generation,
    ("GET", "/credits"): lambda sdk: sdk.credits.get_credits().data,
    ("GET", "/activity"): lambda sdk: [sdk.analytics.get_user_activity()],
    ("GET", "/key"): lambda sdk: sdk.api_keys.get_current_key_metadata().data,
}
"""A call of the official SDK for every path that the sandbox serves."""


@pytest.fixture
def url() -> Iterator[str]:
    """The base URL of a fast sandbox."""
    with SandboxServer(SandboxConfig(speed=0)) as server:
        yield server.base_url


def test_openai_sdk_reads_the_sandbox(url: str) -> None:
    """Models, a completion, a stream: one text, and a usage."""
    with OpenAI(base_url=url, api_key="sandbox") as sdk:
        plain = sdk.chat.completions.create(**ASK)
        chunks = list(sdk.chat.completions.create(**ASK, stream=True))
        models = [model.id for model in sdk.models.list()]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content != ""
    assert [chunk.usage for chunk in chunks if chunk.usage]
    assert "sandbox/scribe" in models


def test_openrouter_sdk_reads_the_sandbox(url: str) -> None:
    """Models, a completion, a stream, the key's facts."""
    with OpenRouter(api_key="sandbox", server_url=url) as sdk:
        plain = sdk.chat.send(**ASK)
        with sdk.chat.send(**ASK, stream=True) as stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        models = [model.id for model in sdk.models.list().result.data]

    assert text == plain.choices[0].message.content != ""
    assert "sandbox/scribe" in models


def test_openai_sdk_tells_the_sandbox_s_errors_apart() -> None:
    """A 429 is the SDK's RateLimitError, a 401 its AuthenticationError."""
    for kind, expected in (("429", openai.RateLimitError), ("401", openai.AuthenticationError)):
        with (
            SandboxServer(SandboxConfig(speed=0, faults=(Fault(kind),))) as server,
            OpenAI(base_url=server.base_url, api_key="x", max_retries=0) as sdk,
            pytest.raises(expected),
        ):
            sdk.chat.completions.create(**ASK)


def test_openrouter_sdk_has_a_call_for_every_path_of_the_sandbox() -> None:
    """A path that the sandbox gains is walked too, or this test says so."""
    served = {
        (method, route.path.removeprefix("/api/v1"))
        for route in create_app().routes
        if isinstance(route, Route) and route.path.startswith("/api/v1")
        for method in (route.methods or ()) - {"HEAD"}
    }

    assert served == set(WALK)


@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")  # the SDK's own, of a field of /key
@pytest.mark.parametrize("call", list(WALK), ids=" ".join)
def test_openrouter_sdk_reads_every_answer_of_the_sandbox(url: str, call: tuple[str, str]) -> None:
    """The official SDK, which checks every field, takes what each path gives."""
    with OpenRouter(api_key="sandbox", server_url=url) as sdk:
        found = WALK[call](sdk)

    assert found


def test_openrouter_sdk_reads_a_streamed_response(url: str) -> None:
    """The events of a streamed response are the SDK's own, and its text is the plain one's."""
    with OpenRouter(api_key="sandbox", server_url=url) as sdk:
        plain = sdk.responses.send(model="sandbox/sage", input="Name three rivers")
        with sdk.responses.send(model="sandbox/sage", input="Name three rivers", stream=True) as stream:
            events = list(stream)

    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == plain.output_text != ""
    assert not [event for event in events if event.type == "UNKNOWN"]
    assert events[-1].response.usage.cost == plain.usage.cost > 0


def test_openai_sdk_reads_responses_and_embeddings(url: str) -> None:
    """`responses` and `embeddings` of the OpenAI SDK work, plain, streamed and packed."""
    with OpenAI(base_url=url, api_key="sandbox") as sdk:
        plain = sdk.responses.create(model="sandbox/scribe", input="Name three rivers", instructions="Be brief")
        with sdk.responses.create(
            model="sandbox/scribe", input="Name three rivers", instructions="Be brief", stream=True
        ) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        packed = sdk.embeddings.create(model="sandbox/vector", input=["a river", "a stream"])
        floats = sdk.embeddings.create(model="sandbox/vector", input="a river", encoding_format="float")

    assert text == plain.output_text != ""
    assert len(packed.data) == 2
    assert packed.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-5)
    assert packed.usage.prompt_tokens > 0
