"""Claims on their way to the counters and back: each is told once, and decided again where the counters know better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.counters.ask import Ask
from gateway.counters.consume import KEY_REUSED, STALE, TOO_MUCH_HELD, WRONG_WINDOW
from gateway.decision import Decision, Reason, degrade, refuse
from gateway.errors import IdempotencyKeyReusedError, TollkeeperError
from gateway.prepared import Answered, Counted, Counting, Prepared
from gateway.tally import DECIDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.checker.checker import Checker
    from gateway.counters.ask import Asker
    from gateway.counters.consume import Answer

Told = Decision | Counted | TollkeeperError
"""What a claim comes to: a decision, or what the counters said, from which it follows; or why there is none."""

TRIES_MAX: Final = 6
"""A document or a window may be found outdated this often in one check: more means that two parts disagree."""

OUTDATED: Final = frozenset((STALE, WRONG_WINDOW))
"""What the counters say of a claim that was prepared with what is no longer so."""


class Check(Ask, kw_only=True, eq=False):
    """Claims that are counted in one call; `reply` gets, for each, whose it is and what is told."""

    checker: Checker
    reply: Callable[[Any, Told], None]
    parts: Sequence[tuple[Any, Prepared, Counting]]
    """Whose each claim is, the claim, and by what it is counted."""
    tries: int = TRIES_MAX

    def told(self, answers: Sequence[Answer]) -> None:
        """Turn what the counters say into decisions, or decide again with what they know better."""
        for (whose, prepared, found), answer in zip(self.parts, answers, strict=True):
            if answer.kind in OUTDATED and self.tries:
                self.checker.decide_anew(self, whose, prepared, answer)
            else:
                self.reply(whose, _told_of(prepared, found, answer))


class Together(Ask, kw_only=True, eq=False):
    """Claims that are counted all or none."""

    checker: Checker
    reply: Callable[[Any, list[Told]], None]
    prepared: Sequence[Prepared]
    found: Sequence[Answered | Counting | Decision]
    again: Callable[[], None] | None
    """Decides them once more."""

    def told(self, answers: Sequence[Answer]) -> None:
        """Turn what the counters say into decisions, or decide all of them again."""
        said = iter(answers)
        of_each = [(one, found, next(said) if isinstance(found, Counting) else None) for one, found in self._pairs()]
        outdated = [(one, answer) for one, _, answer in of_each if answer is not None and answer.kind in OUTDATED]
        if outdated and self.again is not None:
            for one, answer in outdated:
                self.checker.learn(one, answer)
            self.again()
            return
        told: list[Told] = []
        for prepared, found, said_of in of_each:
            if isinstance(found, Counting):
                assert said_of is not None
                told.append(_told_of(prepared, found, said_of))
            else:
                told.append(found.told if isinstance(found, Answered) else found)
        self.reply(self.asker, told)

    def _pairs(self) -> Iterator[tuple[Prepared, Answered | Counting | Decision]]:
        return zip(self.prepared, self.found, strict=True)


def _told_of(prepared: Prepared, found: Counting, answer: Answer) -> Told:
    """Say what the counters' answer to a claim comes to."""
    kind, claim, plan, version = answer.kind, prepared.claim, found.plan.name, found.order.version
    if kind in DECIDED:
        return Counted(found, answer)
    if kind == KEY_REUSED:
        return IdempotencyKeyReusedError(f"{claim.idempotency_key!r} of customer {claim.customer}")
    if kind == TOO_MUCH_HELD:
        return refuse(Reason.CONCURRENCY_EXCEEDED, plan, version, found.against.upgrade_plans)
    return degrade(plan, version)


class Batch:
    """What was told of each claim of a batch, until that of the last is there."""

    def __init__(self, count: int, reply: Callable[[Any, list[Told]], None], asker: Asker) -> None:
        self._told: list[Told | None] = [None] * count
        self._missing = count
        self._reply = reply
        self._asker = asker

    def put(self, place: int, told: Told) -> None:
        """Take in what was told of one."""
        self._told[place] = told
        self._missing -= 1
        if not self._missing:
            self._reply(self._asker, [one for one in self._told if one is not None])
