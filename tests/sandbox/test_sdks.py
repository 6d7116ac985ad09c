"""The official SDKs against the sandbox: what they parse, a real client of OpenRouter parses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openrouter import OpenRouter

from assay.sandbox import Fault, SandboxConfig, SandboxServer

ASK: dict[str, Any] = {"model": "sandbox/scribe", "messages": [{"role": "user", "content": "Name three rivers"}]}


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
