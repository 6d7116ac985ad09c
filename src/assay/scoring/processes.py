"""Processes of their own for what may never end: patterns that backtrack, schemas that branch.

Processes   a few of one program, asked one line of JSON at a time, and ended when they are late
PATTERNS    run a pattern by Python's engine (pattern_child.py)
SCHEMAS     hold a value against a schema (schema_child.py)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import GraderError

AT_ONCE = 2
"""Processes of a program."""
WALL_S = 5.0
"""Seconds after which a process is ended from outside; its own clock counts only what it works itself."""
LATE = 5
"""Times that a pattern or schema may be late, and up to a quarter of all beyond, before it is not run any more."""
KEPT = 1_000
"""Patterns and schemas of which that is known."""
_KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)
"""What a process may know of our environment: no key."""
_HERE = Path(__file__).parent


class _Process:
    """One process and the pipes to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            bufsize=1,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
        )

    @property
    def lives(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def ask(self, request: str) -> str:
        """The answer's line; empty or cut: the process has ended over it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        late = threading.Timer(WALL_S, self._process.kill)
        late.start()
        try:
            if stdin is None or stdout is None:
                return ""
            stdin.write(request + "\n")
            stdin.flush()
            return stdout.readline()
        except OSError:
            return ""
        finally:
            late.cancel()

    def end(self) -> None:
        """Ends the process and frees its pipes."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()


@dataclass(slots=True)
class _Tried:
    """How often something was run, and how often it was late."""

    times: int = 0
    late: int = 0


class Processes:
    """Processes of one program, started when they are needed.

    command: the program; its memory in MB and its seconds of processor time for one request are added to it.
    """

    def __init__(self, command: Sequence[str], *, megabytes: int, seconds: float) -> None:
        self._command = [sys.executable, *command, str(megabytes), str(seconds)]
        self._bounds = f"{seconds:g} s or {megabytes} MB"
        self._free: deque[_Process] = deque()
        self._known: dict[str, _Tried] = {}
        self._counting = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        atexit.register(self.end)

    def ask(self, what: str, request: Any) -> Any:
        """The answer to a request, both JSON; waits for a free process.

        what: the pattern or schema; one that is late again and again is not run any more, for each time costs seconds.
        Raises GraderError past the bounds, and with the words of an answer {"wrong": words}.
        """
        tried = self._tried(what)
        if tried.late >= LATE and 4 * tried.late > tried.times:
            raise GraderError(
                f"It took more than {self._bounds} over {tried.late} answers, and is not run any more.",
                cure="Write it more simply.",
            )
        tried.times += 1
        answer = self._line(json.dumps(request))
        if not answer.endswith("\n"):
            tried.late += 1
            raise GraderError(f"It takes more than {self._bounds} over this answer.", cure="Write it more simply.")
        found = json.loads(answer)
        if isinstance(found, dict) and "wrong" in found:
            raise GraderError(str(found["wrong"]))
        return found

    def _tried(self, what: str) -> _Tried:
        with self._counting:
            while len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
            return self._known.setdefault(what, _Tried())

    def _line(self, request: str) -> str:
        with self._places:
            process, answer = self._living(), ""
            try:
                answer = process.ask(request)
            finally:
                if answer.endswith("\n"):
                    self._free.append(process)
                else:
                    process.end()
        return answer

    def _living(self) -> _Process:
        while True:
            try:
                process = self._free.popleft()
            except IndexError:
                return _Process(self._command)
            if process.lives:
                return process
            process.end()

    def end(self) -> None:
        """Ends the processes that wait for work."""
        while self._free:
            self._free.pop().end()


# As a file and without the site's packages: it starts in some 20 ms.
PATTERNS = Processes(["-I", "-S", str(_HERE / "pattern_child.py")], megabytes=256, seconds=0.5)
SCHEMAS = Processes(["-P", "-m", "assay.scoring.schema_child"], megabytes=512, seconds=1.0)
