"""Who acts, on what: the first argument of every action of `workbench`.

Each face opens a session at one door: pages in `views/resources.py`, commands in `cli/terminal.py`, the service in
`api/service.py`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from assay.config import Gateway, Settings
from assay.openrouter.client import Client
from assay.openrouter.gateways import Gateways
from assay.runs.catalogue import Catalogue
from assay.runs.dispatch import Dispatcher
from assay.runs.engine import RunEngine
from assay.runs.panes import Playground
from assay.store.engine import Store
from assay.workbench.memo import Memos
from assay.workbench.runtime import Runtime, open_runtime

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts."""

    name: str


LOCAL = Actor("local")
"""Whoever uses a workbench of one person: there is no sign-in."""


@dataclass(frozen=True, slots=True)
class Session:
    """An actor at a runtime. What an action needs of the runtime is reached through it."""

    runtime: Runtime
    actor: Actor = LOCAL

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self.runtime.store

    @property
    def settings(self) -> Settings:
        """The settings of the workbench."""
        return self.runtime.settings

    @property
    def gateway(self) -> Gateway:
        """The main gateway."""
        return self.runtime.gateway

    @property
    def gateways(self) -> Gateways:
        """The main gateway's client and those of further endpoints."""
        return self.runtime.gateways

    @property
    def client(self) -> Client:
        """The main gateway's client."""
        return self.runtime.client

    @property
    def catalogue(self) -> Catalogue:
        """The models there are."""
        return self.runtime.catalogue

    @property
    def dispatcher(self) -> Dispatcher:
        """What sends calls, through the ledger."""
        return self.runtime.dispatcher

    @property
    def engine(self) -> RunEngine:
        """What works runs."""
        return self.runtime.engine

    @property
    def playground(self) -> Playground:
        """Comparisons under way."""
        return self.runtime.playground

    @property
    def memos(self) -> Memos:
        """What is counted once for all who look."""
        return self.runtime.memos

    @property
    def owner(self) -> str:
        """The name of this process in the store."""
        return self.runtime.owner

    @property
    def is_sandbox(self) -> bool:
        """Whether answers are simulated and prices invented."""
        return self.runtime.is_sandbox

    @property
    def built_in_sandbox(self) -> Any:
        """The sandbox that this process started for itself; None where there is none."""
        return self.runtime.built_in_sandbox

    def ready(self) -> None:
        """Waits until there is a catalogue to price with, or it is known that there is none."""
        self.runtime.ready()

    def spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts work on the runtime's loop."""
        return self.runtime.spawn(work)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Does work on the runtime's loop and waits for it; never call it from that loop."""
        return self.runtime.wait(work)


@contextmanager
def open_session(settings: Settings | None = None, *, actor: Actor = LOCAL, **options: Any) -> Iterator[Session]:
    """A session at a runtime of its own, which ends with it. options: as `open_runtime` takes them."""
    with open_runtime(settings, **options) as opened:
        yield Session(opened, actor)
