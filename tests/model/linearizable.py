"""Whether a concurrent history can be told as one sequence: by stream id, every total and every denial explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Decided(NamedTuple):
    """One decision as its caller saw it: when it was asked and answered, and what it said.

    `totals` are, limit by limit, what was used as the answer shows it: after it when counted, before it when refused.
    A stream id is two whole numbers; a refusal has none. `decided` is the limit that refused.
    """

    asked_s: float
    answered_s: float
    counters: tuple[str, ...]
    ceilings: tuple[int, ...]
    quantity: int
    totals: tuple[int, ...]
    stream_id: tuple[int, int] | None
    decided: int = 0


def violations(history: Iterable[Decided]) -> list[str]:
    """Report what no sequence explains; nothing when the history is linearizable."""
    decided = list(history)
    counted = sorted((each for each in decided if each.stream_id), key=lambda each: each.stream_id or (0, 0))
    found = out_of_time(counted)
    standing = [{}]
    for each in counted:
        found += unexplained(each, standing[-1])
        standing.append(standing[-1] | dict(zip(each.counters, each.totals, strict=True)))
    for refused in (each for each in decided if not each.stream_id):
        found += unfounded(refused, counted, standing)
    return found


def out_of_time(counted: Sequence[Decided]) -> list[str]:
    """Report decisions that stand before one that was answered before they were asked; and ids given twice."""
    found = []
    latest_asked_s = 0.0
    for before, each in zip([None, *counted], counted, strict=False):
        if before and before.stream_id == each.stream_id:
            found.append(f"{each.stream_id} was given twice")
        if each.answered_s < latest_asked_s:
            found.append(f"{each.stream_id} was answered before one that stands before it was asked")
        latest_asked_s = max(latest_asked_s, each.asked_s)
    return found


def unexplained(each: Decided, standing: dict[str, int]) -> list[str]:
    """Report totals that are not the ones before and the quantity, or that pass a ceiling."""
    found = []
    for counter, ceiling, total in zip(each.counters, each.ceilings, each.totals, strict=True):
        before = standing.get(counter, 0)
        if total != before + each.quantity:
            found.append(f"{each.stream_id}: {counter} shows {total} after {before} and {each.quantity} more")
        if total > ceiling:
            found.append(f"{each.stream_id}: {counter} shows {total} above {ceiling}")
    return found


def unfounded(refused: Decided, counted: Sequence[Decided], standing: Sequence[dict[str, int]]) -> list[str]:
    """Report a refusal unless, somewhere between its asking and its answer, the totals it shows stood and had no room.

    It stands behind everything that was answered before it was asked, and before everything asked after its answer.
    """
    least = max((at + 1 for at, each in enumerate(counted) if each.answered_s < refused.asked_s), default=0)
    most = min((at for at, each in enumerate(counted) if each.asked_s > refused.answered_s), default=len(counted))
    shown = dict(zip(refused.counters, refused.totals, strict=True))
    if refused.totals[refused.decided] + refused.quantity <= refused.ceilings[refused.decided]:
        return [f"a refusal that shows {shown} had room for {refused.quantity}"]
    for at in range(least, most + 1):
        if all(standing[at].get(counter, 0) == total for counter, total in shown.items()):
            return []
    return [f"a refusal shows {shown}, which stood nowhere between {least} and {most}"]
