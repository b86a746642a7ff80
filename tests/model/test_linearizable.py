"""Concurrent histories can be told as one sequence, by stream id; and one that is not as it was is seen."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.model.history import history
from tests.model.linearizable import Decided, violations

PROCESSES, CLAIMS = 3, 300


@pytest.fixture
def recorded(redis_url: str) -> list[Decided]:
    """What three processes saw who asked at the same time."""
    return history(redis_url, seed=1, processes=PROCESSES, claims=CLAIMS)


async def test_a_concurrent_history_is_a_sequence(recorded: list[Decided]) -> None:
    """Every total and every refusal is explained by what stands before it; processes did ask at the same time."""
    assert len(recorded) == PROCESSES * CLAIMS
    assert violations(recorded) == []
    refused = [each for each in recorded if not each.stream_id]
    assert len(refused) > CLAIMS / 3
    counted = sorted((each for each in recorded if each.stream_id), key=lambda each: each.stream_id or (0, 0))
    overlapping = sum(each.asked_s < before.answered_s for before, each in pairwise(counted))
    assert overlapping > len(counted) / 2


async def test_a_shuffled_history_is_rejected(recorded: list[Decided]) -> None:
    """Whichever two counted decisions change places in the stream, a total or a time no longer fits."""
    random = Random(1)  # noqa: S311 - no secret
    counted = [place for place, each in enumerate(recorded) if each.stream_id]
    for _ in range(20):
        one, other = random.sample(counted, 2)
        shuffled = list(recorded)
        shuffled[one] = recorded[one]._replace(stream_id=recorded[other].stream_id)
        shuffled[other] = recorded[other]._replace(stream_id=recorded[one].stream_id)
        assert violations(shuffled)


@pytest.mark.parametrize("change", ["total", "quantity", "id", "time"])
async def test_what_was_not_so_is_rejected(recorded: list[Decided], change: str) -> None:
    """Another total, another quantity, an id given twice, an answer before what was known when it was asked."""
    counted = sorted((each for each in recorded if each.stream_id), key=lambda each: each.stream_id or (0, 0))
    first, last = counted[0], counted[-1]
    others = [each for each in recorded if each is not last]
    wrong = {
        "total": last._replace(totals=(last.totals[0] - 1, *last.totals[1:])),
        "quantity": last._replace(quantity=last.quantity + 1),
        "id": last._replace(stream_id=first.stream_id),
        "time": last._replace(asked_s=first.asked_s - 2, answered_s=first.asked_s - 1),
    }[change]
    assert violations([*others, wrong])


async def test_a_refusal_that_nothing_explains_is_rejected(recorded: list[Decided]) -> None:
    """A refusal that shows a total which stood at another time only, or that had room."""
    refused = max((each for each in recorded if not each.stream_id), key=lambda each: each.asked_s)
    at = refused.decided
    early = refused._replace(totals=tuple(0 for _ in refused.totals), quantity=refused.ceilings[at] + 1)
    assert violations([*recorded, early])
    assert violations([*recorded, refused._replace(ceilings=tuple(10**9 for _ in refused.ceilings))])
