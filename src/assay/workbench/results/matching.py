"""What of two runs belongs together: contestants, prompts, and the copies of a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from assay.domain.contestant import Contestant, Prompt
from assay.domain.plan import RunPlan
from assay.store.cell_costs import Place

M = TypeVar("M", Contestant, Prompt)


def shared_names(keys: Mapping[int, str]) -> dict[int, str]:
    """Row keys without the number (`#2`, `#3` ...) by which the copies of a row are told apart."""
    known = set(keys.values())

    def name(key: str) -> str:
        base, mark, number = key.rpartition("#")
        is_copy = (
            mark
            and number.isdecimal()
            and all((f"{base}#{n}" if n > 1 else base) in known for n in range(1, min(int(number), len(known) + 1)))
        )
        return base if is_copy and int(number) > 1 else key

    return {row: name(key) if "#" in key else key for row, key in keys.items()}


def matched_places(a: RunPlan, b: RunPlan) -> list[tuple[Place, Place]]:
    """The lines of two plans that belong together, in the order of plan B.

    Contestants: the same key, else a label that occurs once on each side. Prompts: the same text, else a name that
    occurs once on each side, else the only one left on each side.
    """
    contestants = _matched(a.contestants, b.contestants, (lambda c: c.key, lambda c: c.name))
    prompts = _matched(a.prompts, b.prompts, (lambda p: p.key, lambda p: p.name or None, lambda _: "the only one left"))
    return [
        (Place(prompts[p], contestants[c]), Place(p, c))
        for p in range(len(b.prompts))
        if p in prompts
        for c in range(len(b.contestants))
        if c in contestants
    ]


def _matched(a: Sequence[M], b: Sequence[M], signs: Sequence[Callable[[M], Hashable]]) -> dict[int, int]:
    """Index in b -> index in a; each sign is tried on what the earlier ones left over, where it is unique."""
    found: dict[int, int] = {}
    for sign in signs:
        left, right = _places(a, sign, set(found.values())), _places(b, sign, set(found))
        found |= {
            places[0]: left[key][0] for key, places in right.items() if len(places) == 1 == len(left.get(key, ()))
        }
    return found


def _places(items: Sequence[M], sign: Callable[[M], Hashable], taken: set[int]) -> dict[Hashable, list[int]]:
    places: dict[Hashable, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if index not in taken and sign(item) is not None:
            places[sign(item)].append(index)
    return places
