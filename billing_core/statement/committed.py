"""What commitments add to the rated lines: what goes beyond them, what is above their maximum, what they still lack."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from billing_core.commitments import Charged, Settlement, Stretch, WindowSettlement, settle, settle_windows
from billing_core.money import EXACT, Money, Quotient
from billing_core.prices import PerUnit, by_quantity
from billing_core.prices.steps import PERCENT, Changed, Flat, Reason, Share, Step, exact_sum
from billing_core.proration import WHOLE, share
from billing_core.rating import RatingRequest
from billing_core.statement.lines import Kind, ScopedLine, StatementLine, adjusted
from billing_core.statement.request import CommitmentTerms, StatementRequest, WindowCommitment
from billing_core.statement.windows import Window, used_in, windows_in


@dataclass(frozen=True, slots=True)
class _Due:
    meter: str
    amount: Money


def settled(request: StatementRequest, rating: RatingRequest, lines: Sequence[Charged]) -> tuple[ScopedLine, ...]:
    """Settle windows first, which are the narrowest, and let what they add count for the others, as `settle` does."""
    added: list[ScopedLine] = []
    charged = list(lines)
    asked: list[tuple[str, CommitmentTerms]] = []
    for index, terms in enumerate(request.commitments):
        source = f"commitments[{index}]"
        if isinstance(terms, WindowCommitment):
            of_windows = list(_of_windows(source, terms, request, rating))
            charged += [_Due(terms.meter, line.amount) for line in of_windows]
            added += [ScopedLine(line, terms.meters) for line in of_windows]
        else:
            asked.append((source, terms))
    pairs = [(terms.commitment, _stretch(terms, request)) for _, terms in asked]
    of_name = {terms.name: (source, terms) for source, terms in asked}
    for done in settle(pairs, charged, request.rating.currency):
        source, terms = of_name[done.commitment.name]
        added += [ScopedLine(line, terms.meters) for line in _of_settlement(source, done)]
    return tuple(added)


def _stretch(terms: CommitmentTerms, request: StatementRequest) -> Stretch:
    """Prorate as fees are, and wait with the true-up until the commitment's time is over, or the plan has ended."""
    rating = request.rating
    whole = terms.period or rating.period
    ran = terms.active or (whole if terms.period else request.ran)
    part = WHOLE if rating.proration is None else share(whole, ran.start, ran.end, rating.proration, rating.zone)
    return Stretch(part, _charged_before(terms, rating), rating.final and rating.period.end >= ran.end)


def _charged_before(terms: CommitmentTerms, rating: RatingRequest) -> Decimal:
    if terms.charged_before is not None:
        return terms.charged_before
    billed = (one.amount for meter, one in rating.billed.items() if terms.meters is None or meter in terms.meters)
    with localcontext(EXACT):
        return sum(billed, start=Decimal(0))


def _of_settlement(source: str, done: Settlement) -> Iterator[StatementLine]:
    name, currency = done.commitment.name, done.due.currency
    zero = Money(Decimal(0), currency)
    if done.overage != zero:
        before = Money(done.stretch.charged_before, currency)
        beyond = max(before + done.charged - done.minimum, zero) - max(before - done.minimum, zero)
        steps: tuple[Step, ...] = (Share(beyond.amount, _extra_percent(done.commitment.overage_factor)),)
        yield _line(source, f"{name} (overage)", adjusted(steps, Reason.ROUNDING, done.overage), done.overage)
    if done.maximum is not None and done.capped != zero:
        steps = _up_to(done, done.commitment.maximum or Decimal(0), done.maximum)
        yield _line(source, f"{name} (maximum)", adjusted(steps, Reason.CHARGED, done.capped), done.capped)
    if done.true_up != zero:
        steps = _up_to(done, done.commitment.minimum, done.minimum)
        yield _line(source, f"{name} (true-up)", adjusted(steps, Reason.CHARGED, done.true_up), done.true_up)


def _up_to(done: Settlement, whole: Decimal, bound: Money) -> tuple[Step, ...]:
    """Say how a bound came about: agreed on, prorated, rounded."""
    off = done.stretch.part.of(whole) - Fraction(whole)
    steps: tuple[Step, ...] = (Flat(whole), Changed(Reason.PRORATION, Quotient.of(off))) if off else (Flat(whole),)
    return adjusted(steps, Reason.ROUNDING, bound)


def _of_windows(
    source: str, terms: WindowCommitment, request: StatementRequest, rating: RatingRequest
) -> Iterator[StatementLine]:
    (price,) = request.prices_of(terms.meter)
    assert isinstance(price.price, PerUnit), "no other price is priced by windows"
    windows = windows_in(request.ran, terms.window, rating.zone, rating.proration)
    with localcontext(EXACT):
        used = used_in(windows, (use for use in rating.usage if use.meter == terms.meter))
        charges = [_charge(price.price, quantity) for quantity in used]
        committed = Quotient(terms.minimum) if terms.minimum is not None else _charge(price.price, terms.quantity)
    parts = [window.part for window in windows]
    done = settle_windows(charges, committed, rating.currency, terms.overage_factor, parts)
    yield from _lines_of(source, terms, windows, done)


def _lines_of(
    source: str, terms: WindowCommitment, windows: Sequence[Window], done: WindowSettlement
) -> Iterator[StatementLine]:
    counted = f"of {len(windows)} {terms.window.value}s" if len(windows) != 1 else f"of 1 {terms.window.value}"
    beyond = [window for window in done.windows if window.overage]
    if beyond:
        factor = Fraction(terms.overage_factor) - 1
        together = Quotient.of(Fraction(_added(window.overage for window in beyond), factor))
        steps: tuple[Step, ...] = (Share(together.dividend, _extra_percent(terms.overage_factor), together.divisor),)
        description = f"{terms.name} (overage, {len(beyond)} {counted})"
        yield _line(source, description, adjusted(steps, Reason.ROUNDING, done.overage), done.overage)
    lacking = [window for window in done.windows if window.true_up]
    if lacking:
        steps = (Changed(Reason.MINIMUM, Quotient.of(_added(window.true_up for window in lacking))),)
        description = f"{terms.name} (true-up, {len(lacking)} {counted})"
        yield _line(source, description, adjusted(steps, Reason.ROUNDING, done.true_up), done.true_up)


def _line(source: str, description: str, steps: tuple[Step, ...], amount: Money) -> StatementLine:
    return StatementLine(Kind.COMMITMENT, source, None, description, Decimal(1), amount, steps)


def _extra_percent(factor: Decimal) -> Decimal:
    return EXACT.multiply(EXACT.subtract(factor, Decimal(1)), PERCENT)


def _charge(price: PerUnit, quantity: Decimal | None) -> Quotient:
    assert quantity is not None, "a quantity or an amount is committed to"
    return exact_sum(by_quantity.charge(price, Quotient(quantity)))


def _added(parts: Iterable[Fraction]) -> Fraction:
    return sum(parts, start=Fraction(0))
