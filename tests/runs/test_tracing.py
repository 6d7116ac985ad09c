"""Spans by OpenTelemetry's conventions, through the SDK's own exporter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr
from assay.config import Gateway, Settings
from assay.domain.messages import CompletionRequest, Message
from assay.sandbox import Fault, SandboxConfig, SandboxServer
from assay.workbench.gateway.calls import send_completion
from assay.workbench.session import open_session

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
faults = (Fault("401", model="sandbox/swift"),)
with SandboxServer(SandboxConfig(speed=0, faults=faults)) as sandbox:
    gateway = Gateway("sandbox", sandbox.base_url, SecretStr("sk-CANARY"))
    with open_session(Settings(database_url="sqlite:///" + sys.argv[1]), gateway=gateway) as rt:
        for model in ("sandbox/scribe", "sandbox/swift"):
            request = CompletionRequest(model, (Message("user", "purple heron"),), {"temperature": 0.5})
            send_completion(rt, request).result()
spans = [
    {"name": s.name, "kind": s.kind.name, "status": s.status.status_code.name, "attributes": dict(s.attributes)}
    for s in exporter.get_finished_spans()
]
print(json.dumps(spans, default=list))
"""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program in its own process: the tracer provider of a process is set once."""
    env = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, check=True, env=env, timeout=120
    )


def test_each_attempt_is_a_span_without_prompt_or_key(tmp_path: Path) -> None:
    """Name, kind, tokens, cost and error stand by the conventions; prompt, answer and key do not."""
    import json

    printed = run(PROGRAM, str(tmp_path / "a.db")).stdout
    good, bad = json.loads(printed)

    assert (good["name"], good["kind"], good["status"]) == ("chat sandbox/scribe", "CLIENT", "UNSET")
    assert good["attributes"]["gen_ai.operation.name"] == "chat"
    assert good["attributes"]["gen_ai.request.temperature"] == 0.5
    assert good["attributes"]["gen_ai.usage.input_tokens"] > 0
    assert good["attributes"]["assay.cost.provenance"] == "billed"
    assert (bad["status"], bad["attributes"]["error.type"]) == ("ERROR", "authentication")
    assert "purple heron" not in printed
    assert "CANARY" not in printed


def test_configured_exporter_is_used(tmp_path: Path) -> None:
    """OTEL_TRACES_EXPORTER=console prints spans of a run without any code."""
    program = PROGRAM.replace("trace.set_tracer_provider(provider)", "")

    assert "gen_ai.request.model" in run(program, str(tmp_path / "a.db"), OTEL_TRACES_EXPORTER="console").stdout
