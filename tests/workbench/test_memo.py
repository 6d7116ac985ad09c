"""One counting for all who look."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from assay.workbench.memo import Fresh, Kind, Memo, Memos

ALWAYS = Fresh(least_s=1_000, share=1)


def test_value_asked_for_at_once_is_counted_once() -> None:
    """Eight threads that ask for one key wait for one counting."""
    memo: Memo[int] = Memo(kept=4)
    counted: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def count(_: int | None) -> int:
        counted.append(1)
        begun.set()
        assert go.wait(20)
        return 7

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(memo.get, "a", count) for _ in range(8)]
        assert begun.wait(20)
        go.set()

        assert [one.result() for one in found] == [7] * 8
    assert counted == [1]


def test_keys_are_counted_beside_each_other() -> None:
    """A slow counting holds up nobody who asks for another key."""
    memo: Memo[str] = Memo(kept=4)
    begun, go = threading.Event(), threading.Event()

    def slow(_: str | None) -> str:
        begun.set()
        assert go.wait(20)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(memo.get, "a", slow)
        assert begun.wait(20)

        assert memo.get("b", lambda _: "quick") == "quick"
        go.set()
        assert late.result() == "slow"


def test_another_state_is_counted_anew_with_what_was_before() -> None:
    """The same state is not; the counting is given the value before."""
    memo: Memo[list[int]] = Memo(kept=4)

    def count(before: list[int] | None) -> list[int]:
        return [*(before or []), 1]

    assert memo.get("a", count, state=1) == [1]
    assert memo.get("a", count, state=1) == [1]
    assert memo.get("a", count, state=2) == [1, 1]


def test_fresh_value_stands_though_the_state_changes() -> None:
    """A run that is worked changes all the time."""
    memo: Memo[int] = Memo(kept=4)
    memo.get("a", lambda _: 1, state=1, fresh=ALWAYS)

    assert memo.get("a", lambda _: 2, state=2, fresh=ALWAYS) == 1
    assert memo.get("a", lambda _: 2, state=2) == 2


def test_who_asks_while_it_is_counted_anew_takes_the_value_before() -> None:
    """Several tabs on a running run: one counts, the others do not wait for it."""
    memo: Memo[int] = Memo(kept=4)
    never = Fresh(least_s=0, share=0)
    memo.get("a", lambda _: 1, state=1, fresh=never)
    begun, go = threading.Event(), threading.Event()

    def count(_: int | None) -> int:
        begun.set()
        assert go.wait(20)
        return 2

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(memo.get, "a", count, state=2, fresh=never)
        assert begun.wait(20)

        assert memo.get("a", lambda _: 3, state=2, fresh=never) == 1
        go.set()
        assert late.result() == 2


def test_failed_counting_keeps_nothing_and_is_tried_again() -> None:
    """Who asked is told; the next one counts."""
    memo: Memo[int] = Memo(kept=4)

    with pytest.raises(ZeroDivisionError):
        memo.get("a", lambda _: 1 // 0)

    assert memo.get("a", lambda before: 5 if before is None else 6) == 5


def test_memo_keeps_the_latest_asked_for() -> None:
    """It is bounded."""
    memo: Memo[int] = Memo(kept=2)
    memo.get("a", lambda _: 1)
    memo.get("b", lambda _: 1)
    memo.get("a", lambda _: 2)
    memo.get("c", lambda _: 1)

    assert memo.get("a", lambda _: 2) == 1
    assert memo.get("b", lambda _: 2) == 2


def test_forgotten_key_is_counted_anew() -> None:
    """Whoever changes a run says so."""
    memo: Memo[int] = Memo(kept=2)
    memo.get("a", lambda _: 1)
    memo.forget("a")

    assert memo.get("a", lambda _: 2) == 2
    memo.clear()
    assert memo.get("a", lambda _: 3) == 3


def test_kinds_share_no_values() -> None:
    """The same key of two kinds is two values, and of one kind one."""
    memos = Memos()
    runs, boards = Kind[int]("runs", kept=2), Kind[str]("boards", kept=2)
    memos.of(runs).get("a", lambda _: 1)

    assert memos.of(boards).get("a", lambda _: "b") == "b"
    assert memos.of(runs).get("a", lambda _: 2) == 1
