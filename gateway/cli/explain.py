"""How a line came about, as a person would write it: what was free, what was charged, what was changed."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, assert_never

from billing_core.money import EXACT, Quotient, plain_text
from billing_core.prices.steps import (
    Changed,
    Converted,
    Flat,
    Included,
    Part,
    Pieces,
    Reason,
    Share,
    Step,
    Units,
)
from billing_core.statement import Kind
from billing_core.statement.lines import exact_sum

if TYPE_CHECKING:
    from billing_core.statement import StatementLine

SHOWN_DECIMALS = 12
WIDE = Context(prec=EXACT.prec)
"""As exact as rating is, but what has no end may be cut where it is shown."""
TIMES = "\N{MULTIPLICATION SIGN}"
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


def explained(line: StatementLine) -> str:
    """Write a line's derivation, such as `3 included, then $7, plus $993 up to the minimum = $1,000.00`."""
    with localcontext(WIDE):
        code = line.amount.currency.code
        sign = _SIGNS.get(code, f"{code} ")
        free = [_before(step) for step in line.derivation]
        changed = "".join(
            _changed(step, line.derivation, sign) for step in line.derivation if isinstance(step, Changed)
        )
        match line.kind:
            case Kind.CHARGE:
                charged = [
                    _charged(step, sign) for step in line.derivation if isinstance(step, Part) and not _is_free(step)
                ]
                parts = [*filter(None, free), " + ".join(charged) or "nothing charged"]
                return f"{', then '.join(parts)}{changed} = {_due(line, sign)}"
            case Kind.CREDIT if any(free):
                return f"{_number(line.quantity)} units that are not charged"
            case Kind.COMMITMENT | Kind.COUPON | Kind.CREDIT | Kind.TAX:
                parts = [_taken(step, sign) for step in line.derivation if isinstance(step, Part)]
                off = " off" if line.kind.takes_off else ""
                sums = f" = {_due(line, sign)}{off}"
                # A bare amount is not written twice.
                is_bare = len(line.derivation) == 1 and isinstance(line.derivation[0], Flat)
                return sums[3:] if is_bare else f"{''.join(parts)}{changed}".removeprefix(", ") + sums
            case _:
                assert_never(line.kind)


def _due(line: StatementLine, sign: str) -> str:
    amount = -line.amount if line.kind.takes_off else line.amount
    minus = "-" if amount.amount < 0 else ""
    return f"{minus}{sign}{abs(amount.amount):,.{amount.currency.minor_digits}f}"


def _is_free(part: Part) -> bool:
    return (isinstance(part, Units) and not part.unit) or (isinstance(part, Share) and not part.rate)


def _before(step: Step) -> str:
    match step:
        case Converted() if step.priced.divisor == 1:
            return f"{_number(step.measured)} become {_number(step.priced.dividend)}"
        case Included():
            return f"{_quotient(step.quantity)} included"
        case Units() if _is_free(step):
            return f"{_number(step.quantity)} free"
        case Share() if _is_free(step):
            return f"{_quotient(Quotient(step.quantity, step.per))} free"
        case _:
            return ""


def _charged(part: Part, sign: str) -> str:
    match part:
        case Units():
            return f"{_quotient(Quotient(part.quantity, part.per))} {TIMES} {_money(Quotient(part.unit), sign)}"
        case Pieces():
            things = "event" if part.count == 1 else "events"
            if part.size is not None:
                things = f"{'block' if part.count == 1 else 'blocks'} of {_number(part.size)}"
            return f"{_number(part.count)} {things} {TIMES} {_money(Quotient(part.amount), sign)}"
        case Share():
            return f"{_number(part.rate)} % of {_quotient(Quotient(part.quantity, part.per))}"
        case Flat():
            return _money(Quotient(part.amount), sign)
        case _:
            assert_never(part)


def _taken(part: Part, sign: str) -> str:
    """Write a part of what is no use of a meter: a percentage of money, units at what they cost, or an amount."""
    match part:
        case Share():
            return f"{_number(part.rate)} % of {_money(Quotient(part.quantity, part.per), sign)}"
        case Units():
            return f"{_number(part.quantity)} units at {_money(Quotient(part.unit, part.per), sign)} each"
        case _:
            return _charged(part, sign)


def _changed(step: Changed, steps: tuple[Step, ...], sign: str) -> str:
    size = _money(Quotient(abs(step.by.dividend), step.by.divisor), sign)
    match step.reason:
        case Reason.DISCOUNT:
            words = f", less {size} discount"
        case Reason.PRORATION:
            words = f", less {size} for the time in which the plan did not run"
        case Reason.MAXIMUM:
            words = f", less {size} above the maximum"
        case Reason.MINIMUM:
            words = f", plus {size} up to the minimum"
        case Reason.BILLED:
            words = f", less {size} billed before"
        case Reason.ROUNDING:
            words = f" = {_money(Quotient.of(exact_sum(steps[: steps.index(step)])), sign)}, rounded"
        case Reason.CHARGED:
            words = f", {'plus' if step.by.dividend > 0 else 'less'} {size} charged"
        case Reason.LEFT:
            words = f", less {size} for which nothing is left to pay"
        case Reason.CONTAINED:
            words = f", less {size} that the prices contain"
        case _:
            assert_never(step.reason)
    return words


def _money(amount: Quotient, sign: str) -> str:
    """Write an amount; what has no end is cut, and says so."""
    exact = amount.dividend / amount.divisor
    shown = round(exact, SHOWN_DECIMALS)
    cut = "…" if shown * amount.divisor != amount.dividend else ""
    return f"{'-' if shown < 0 else ''}{sign}{_number(abs(shown))}{cut}"


def _quotient(quantity: Quotient) -> str:
    divisor = "" if quantity.divisor == 1 else f" ÷ {_number(quantity.divisor)}"
    return f"{_number(quantity.dividend)}{divisor}"


def _number(number: Decimal) -> str:
    whole, point, decimals = plain_text(number).partition(".")
    return f"{int(whole):,}{point}{decimals}"
