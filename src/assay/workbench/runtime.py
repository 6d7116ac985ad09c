"""What lives as long as the process: settings, store, client, engine, and the event loop that they share."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, TypeVar

from pydantic import SecretStr

from assay.config import Gateway, Settings, endpoint_gateways
from assay.errors import AssayError
from assay.money import to_pico
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.openrouter.pacing import Pacer
from assay.openrouter.retry import RetryPolicy
from assay.openrouter.transport import new_event_loop
from assay.runs.catalogue import Catalogue
from assay.runs.dispatch import Dispatcher
from assay.runs.engine import RunEngine
from assay.runs.panes import Playground
from assay.runs.prices import PriceBook
from assay.runs.waits import Waits
from assay.store import comparisons, datasets, ledger
from assay.store.engine import Store, open_store
from assay.store.owner import end_owner, new_owner
from assay.store.sent_marks import SentMarks, sweep
from assay.workbench.memo import Memos

log = logging.getLogger("assay.workbench")
T = TypeVar("T")
PIN = "_assay_runtime"
"""Name of the module without a file that holds the runtime: it survives Streamlit's reloads of edited modules."""
RECOVER_SINCE_MS = 7 * 86_400_000


class Runtime:
    """One gateway, one store, one engine. Functions of `workbench` take it as their first argument."""

    def __init__(
        self,
        settings: Settings,
        *,
        gateway: Gateway | None = None,
        sandbox_speed: float = 1.0,
        on_wait: Callable[[str], None] = log.warning,
    ) -> None:
        """Opens everything. on_wait: told, in words, when the database is waited for. Raises AssayError, having left
        nothing open."""
        self.settings = settings
        self.owner = new_owner()
        self._sandbox: Any = None
        self.memos = Memos()
        with ExitStack() as opened:
            opened.callback(end_owner, self.owner)
            self.store: Store = open_store(
                settings.database_url, patience_s=settings.database_patience_s, on_wait=on_wait
            )
            opened.callback(self.store.close)
            self.gateway = gateway or self._gateway(sandbox_speed, opened)
            self._loop = new_event_loop()
            self._thread = threading.Thread(target=self._run_loop, name="assay-loop", daemon=True)
            self._thread.start()
            opened.callback(self._end_loop)
            self._assemble(opened)
            self._opened = opened.pop_all()

    def _gateway(self, speed: float, opened: ExitStack) -> Gateway:
        """OpenRouter where a key is set, else a sandbox of our own on a free loopback port."""
        settings = self.settings
        if settings.key_source != "none":
            return Gateway(
                "openrouter",
                settings.openrouter_base_url,
                settings.openrouter_api_key,
                settings.openrouter_management_key,
            )
        from assay.sandbox import SandboxConfig, SandboxServer

        self._sandbox = SandboxServer(SandboxConfig(speed=speed))
        opened.callback(self._sandbox.stop)
        return Gateway("sandbox", self._sandbox.start(), SecretStr("sandbox"))

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _assemble(self, opened: ExitStack) -> None:
        settings, gateway = self.settings, self.gateway

        async def build() -> None:
            others = [Client(other, settings) for other in endpoint_gateways(settings)]
            self.gateways = Gateways(Client(gateway, settings), others)
            self.client = self.gateways.main
            self.catalogue = Catalogue(self.gateways, self.store, ttl_s=settings.catalogue_ttl_s)
            budget = settings.monthly_budget_usd
            self.dispatcher = Dispatcher(
                gateways=self.gateways,
                store=self.store,
                prices=PriceBook(self.gateways, self.catalogue.find),
                pacer=Pacer(per_minute=settings.requests_per_minute),
                policy=RetryPolicy(max_attempts=settings.max_attempts),
                owner=self.owner,
                marks=SentMarks(self.store.writer_url, self.owner),
                monthly_budget_pico=None if budget is None else to_pico(budget),
            )
            self.engine = RunEngine(
                store=self.store,
                gateways=self.gateways,
                dispatcher=self.dispatcher,
                owner=self.owner,
                concurrency=settings.concurrency,
                waits=Waits(
                    batch_poll_s=settings.batch_poll_s,
                    probe_s=settings.probe_waits_s,
                    unreachable_s=settings.unreachable_patience_s,
                    close_s=settings.close_patience_s,
                ),
            )

        opened.callback(lambda: self.wait(self._quiet()))
        self.wait(build())
        opened.callback(lambda: self.wait(self.gateways.aclose()))
        opened.callback(lambda: self.wait(self.dispatcher.aclose()))
        self.playground = Playground(self.store, self.dispatcher, gateway=gateway.name)
        opened.callback(lambda: self.wait(self.playground.aclose()))
        opened.callback(lambda: self.wait(self.engine.aclose()))
        self.catalogue.load()

    async def _quiet(self) -> None:
        """Ends whatever still runs on the loop."""
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    @property
    def is_sandbox(self) -> bool:
        """Whether answers are simulated and prices invented."""
        return self.gateway.is_sandbox

    @property
    def built_in_sandbox(self) -> Any:
        """The sandbox that this process started for itself; None where there is none."""
        return None if self._sandbox is None else self._sandbox.sandbox

    def start(self) -> None:
        """Settles what an earlier process left behind, and begins to work queued runs."""
        self.settle_the_past()
        self.store.writer.call(lambda c: comparisons.mark_interrupted(c, older_than_ms=_day_ago()))
        self.store.writer.submit(lambda c: datasets.drop_abandoned(c))
        self.spawn(self._begin())

    async def _begin(self) -> None:
        try:
            if self.catalogue.is_stale:
                await self.catalogue.refresh()
        except AssayError as error:
            log.warning("the models are not read anew: %s", error)
        except Exception:  # whatever a catalogue holds: runs are picked up all the same
            log.exception("reading the models anew")
        self.engine.watch()

    def settle_the_past(self) -> None:
        """Tells apart what dead processes had sent from what they had not, and asks the gateway, meanwhile, for costs
        that it may tell: every face that opens the ledger does it."""
        self.store.writer.call(lambda c: ledger.mark_orphans(c, older_than_ms=_day_ago()))
        sweep(self.store.writer_url)
        self.spawn(self.dispatcher.recover_all(since_ms=ledger.now_ms() - RECOVER_SINCE_MS))

    def ready(self) -> None:
        """Waits until there is a catalogue to price with, or it is known that there is none."""
        if not self.catalogue.models():
            self.wait(self.catalogue.refresh())

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts work on the runtime's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Does work on the runtime's loop and waits for it; never call it from that loop."""
        return self.spawn(work).result()

    def stop(self) -> None:
        """Ends everything in order: engine, playground, client, loop, sandbox, store. What fails keeps nothing else
        open."""
        self._opened.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _day_ago() -> int:
    return ledger.now_ms() - 86_400_000


_lock = threading.Lock()


def runtime() -> Runtime:
    """The runtime of this process, opened and started on first use. Raises AssayError in words when it cannot."""
    with _lock:
        pin = sys.modules.setdefault(PIN, ModuleType(PIN))
        found: Runtime | None = getattr(pin, "runtime", None)
        if found is None:
            found = Runtime(Settings())
            try:
                found.start()
            except BaseException:
                found.stop()
                raise
            pin.runtime = found  # type: ignore[attr-defined]
        return found


def close_runtime() -> None:
    """Stops the runtime of this process, if there is one."""
    with _lock:
        pin = sys.modules.pop(PIN, None)
        found = getattr(pin, "runtime", None)
    if found is not None:
        found.stop()


@contextmanager
def open_runtime(
    settings: Settings | None = None,
    *,
    gateway: Gateway | None = None,
    sandbox_speed: float = 1.0,
    watch: bool = False,
    on_wait: Callable[[str], None] = log.warning,
) -> Iterator[Runtime]:
    """A runtime of one's own, for the command line and tests; watch: it also works queued runs."""
    opened = Runtime(settings or Settings(), gateway=gateway, sandbox_speed=sandbox_speed, on_wait=on_wait)
    try:
        if watch:
            opened.start()
        else:
            opened.settle_the_past()
        yield opened
    finally:
        opened.stop()
