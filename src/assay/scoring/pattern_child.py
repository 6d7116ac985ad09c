"""Runs patterns by Python's engine, in a process that a pattern without end may take with it.

    python -I -S pattern_child.py MEGABYTES SECONDS

A request is [pattern, flags, text], an answer the first match as [from, to], null for none, or {"wrong": words} for a
pattern that cannot be compiled. Imports nothing of the package: it starts at once.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable
from typing import Any


def first_match(request: list[Any]) -> Any:
    """Where the pattern of a request first matches its text."""
    pattern, flags, text = request
    try:
        found = re.compile(pattern, flags).search(text)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        return {"wrong": str(error)[:200] or type(error).__name__}
    return found.span() if found else None


def serve(answer: Callable[[Any], Any], megabytes: str, seconds: str) -> None:
    """Answers a line of JSON for each line of JSON on standard input, until that ends.

    A request that takes more memory or processor time ends this process.
    """
    _bound(int(megabytes) * 1024 * 1024)
    for line in sys.stdin:
        _timed(float(seconds))
        found = json.dumps(answer(json.loads(line)))
        _timed(0)
        print(found, flush=True)


def _timed(seconds: float) -> None:
    """Ends this process after so many seconds of its own work, where the system can; 0: no more."""
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        import signal

        # Without a handler of ours the signal ends the process, in the middle of a match too.
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


def _bound(size: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    serve(first_match, *sys.argv[1:])
