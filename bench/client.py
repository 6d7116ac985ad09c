"""How near the client layer comes to the physical limit, beside other clients in the same interleaved run.

    python bench/client.py [--runs 3] [--concurrency 64 256] [--rounds 16] [--chunks 20] [--segments]

Every client sends `concurrency x rounds` completions to bench/mock_gateway.py, which answers after 200 ms, with
`concurrency` of them in flight; each in its own process. Efficiency is ideal wall / wall with ideal = rounds x 0.2 s.
Prints medians of wall, efficiency and CPU seconds per 1,000 calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
LATENCY_S = 0.2
QUESTION = "What is the capital of France? " * 10
Ask = Callable[[], Awaitable[object]]
CLIENTS = ("assay stream", "assay plain", "aiohttp", "httpx", "httpx+aiohttp", "openai")


@contextlib.contextmanager
def gateway(
    chunks: int, latency_ms: float = 1000 * LATENCY_S, *, models: int = 3, segments: bool = False
) -> Iterator[str]:
    """The base URL of a mock gateway in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        command = [sys.executable, str(HERE / "mock_gateway.py"), str(port_file), "--chunks", str(chunks)]
        command += ["--latency-ms", str(latency_ms), "--models", str(models), *["--segments"] * segments]
        process = subprocess.Popen(command)
        try:
            while not port_file.exists() or not port_file.read_text():
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port_file.read_text()}/api/v1"
        finally:
            process.kill()
            process.wait()


def body(stream: bool) -> dict[str, object]:
    asked: dict[str, object] = {"model": "bench/m0", "messages": [{"role": "user", "content": QUESTION}]}
    return asked | {"max_tokens": 100} | ({"stream": True} if stream else {})


@contextlib.asynccontextmanager
async def client(name: str, url: str):
    """One way to ask the gateway for a completion and to have its text."""
    if name.startswith("assay"):
        from assay.config import Gateway, Settings
        from assay.domain.messages import CompletionRequest, Message
        from assay.openrouter.client import Client

        ours = Client(Gateway("openrouter", url), Settings())
        request = CompletionRequest("bench/m0", (Message("user", QUESTION),), {"max_tokens": 100})
        yield lambda: ours.attempt(request, stream="stream" in name)
        await ours.aclose()
    elif name == "aiohttp":
        import aiohttp

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask_aiohttp() -> object:
                async with session.post(f"{url}/chat/completions", json=body(False)) as response:
                    return (await response.json())["choices"][0]["message"]["content"]

            yield ask_aiohttp
    elif name.startswith("httpx"):
        import httpx
        from httpx_aiohttp import AiohttpTransport

        transport = AiohttpTransport() if name != "httpx" else None
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(transport=transport, limits=limits, timeout=60) as plain:

            async def ask_httpx() -> object:
                response = await plain.post(f"{url}/chat/completions", json=body(False))
                return response.json()["choices"][0]["message"]["content"]

            yield ask_httpx
    else:
        from openai import AsyncOpenAI

        sdk = AsyncOpenAI(base_url=url, api_key="bench", max_retries=0)

        async def ask_openai() -> object:
            answer = await sdk.chat.completions.create(
                model="bench/m0", messages=[{"role": "user", "content": QUESTION}], max_tokens=100
            )
            return answer.choices[0].message.content

        yield ask_openai
        await sdk.close()


async def measure(name: str, url: str, concurrency: int, rounds: int) -> dict[str, float]:
    """Wall and CPU seconds of one client."""
    async with client(name, url) as ask:
        left = iter(range(concurrency * rounds))

        async def work() -> None:
            for _ in left:
                await ask()

        await ask()
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return {"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--segments", action="store_true", help="streams come as one segment per event")
    parser.add_argument("--clients", nargs="+", default=list(CLIENTS))
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, url, concurrency, rounds = args.one
        runner = asyncio.run
        print(json.dumps(runner(measure(name, url, int(concurrency), int(rounds)))))
        return
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with gateway(args.chunks, segments=args.segments) as url:
        for _ in range(args.runs):
            for concurrency in args.concurrency:
                for name in args.clients:
                    rounds = args.rounds
                    command = [sys.executable, __file__, "--one", name, url, str(concurrency), str(rounds)]
                    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    found.setdefault((name, concurrency), []).append(json.loads(told) | {"rounds": rounds})
    print(f"{'client':16}{'in flight':>10}{'wall s':>9}{'efficiency':>12}{'CPU s per 1,000':>17}")
    for (name, concurrency), runs in found.items():
        wall = statistics.median(run["wall"] for run in runs)
        rounds = int(runs[0]["rounds"])
        cpu = statistics.median(run["cpu"] for run in runs) / (concurrency * rounds) * 1000
        print(f"{name:16}{concurrency:>10}{wall:>9.2f}{rounds * LATENCY_S / wall:>12.2f}{cpu:>17.2f}")


if __name__ == "__main__":
    main()
