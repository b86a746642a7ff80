"""What rating costs: a line beside bare arithmetic, ten times the lines, and invoices a second; in processor time.

A line is `rate` on a request that is there already: from its usage to its place in the total, and until it is freed.
Its steps are made when somebody asks, and so is its Money, which is counted apart. Beside it runs one multiply and one
quantize a line. What is compared runs by turns, and the best turn of each counts: what disturbs only ever adds.
"""  # noqa: INP001 - a script

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from time import process_time

from billing_core.catalog import MeterPrice
from billing_core.invoice import Invoice, InvoiceRequest, build
from billing_core.lines import InvoiceLine
from billing_core.money import Currency
from billing_core.periods import Period
from billing_core.prices import Graduated, Tier
from billing_core.rating import RatingRequest, Usage, rate
from billing_core.tax import TaxRate

LINES, INVOICE_LINES, INVOICES = 1000, 20, 10_000
TURNS, TURNS_QUICK, QUICK_SHARE = 100, 50, 20
LINE_RATIO_MAX, TENFOLD_RATIO_MAX = 8, 11
DOLLARS = Currency("USD")
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
TIERS = (Tier(10_000, 0), Tier(100_000, "0.002"), Tier(None, "0.001"))
METERS = [f"m{number}" for number in range(LINES)]
PRICES = [MeterPrice(meter, Graduated(TIERS, 1000)) for meter in METERS]
QUANTITIES = [Decimal(123_456 + number) for number in range(LINES)]
UNIT, CENT = Decimal("0.002"), Decimal("0.01")
TAX = (TaxRate("VAT", 20),)


def bare() -> None:
    """Multiply and quantize once a line, and keep nothing."""
    for quantity in QUANTITIES:
        (quantity * UNIT).quantize(CENT, ROUND_HALF_UP)


def request(lines: int) -> RatingRequest:
    """Ask for so many graduated lines, each of which reaches all three tiers."""
    usage = [Usage(meter, quantity) for meter, quantity in zip(METERS[:lines], QUANTITIES, strict=False)]
    return RatingRequest(DOLLARS, JANUARY, PRICES[:lines], (), usage)


def lines_and_money(asked: RatingRequest) -> None:
    """Rate, and look at what each line costs as Money."""
    for line in rate(asked).lines:
        assert line.amount.currency is DOLLARS


def best_seconds(turns: int, runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Run all by turns, and take the best turn of each."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(turns):
        for name, run in runs.items():
            start = process_time()
            run()
            best[name] = min(best[name], process_time() - start)
    return best


def ratios(turns: int) -> bool:
    """Print what a line costs and what ten times as many do; says whether both are within their bounds."""
    many, few = request(LINES), request(LINES // 10)
    best = best_seconds(
        turns,
        {
            "bare": bare,
            "lines": lambda: rate(many),
            "a tenth, ten times": lambda: [rate(few) for _ in range(10)],
            "lines and money": lambda: lines_and_money(many),
            "bare again": bare,
        },
    )
    line, with_money, again = (best[name] / best["bare"] for name in ("lines", "lines and money", "bare again"))
    tenfold = 10 * best["lines"] / best["a tenth, ten times"]
    say(f"a multiply and a quantize: {best['bare'] / LINES * 1e6:.3f} µs (measured again: {again:.2f} times that)")
    say(
        f"a graduated line of three tiers: {best['lines'] / LINES * 1e6:.2f} µs, {line:.1f} times that; "
        f"at most {LINE_RATIO_MAX}"
    )
    say(f"the same, with each amount asked for as Money: {with_money:.1f} times")
    say(f"ten times the lines: {tenfold:.1f} times the time; at most {TENFOLD_RATIO_MAX}")
    return line <= LINE_RATIO_MAX and tenfold <= TENFOLD_RATIO_MAX


def invoice(number: int) -> Invoice:
    """Make an invoice from a customer's usage: check it, rate it, tax it and add up."""
    used = zip(METERS[:INVOICE_LINES], QUANTITIES, strict=False)
    usage = [Usage(meter, quantity + number) for meter, quantity in used]
    rating = rate(RatingRequest(DOLLARS, JANUARY, PRICES[:INVOICE_LINES], (), usage))
    lines = [InvoiceLine(line.description, line.amount, line.quantity, line.meter, None, TAX) for line in rating.lines]
    return build(InvoiceRequest(DOLLARS, JANUARY.end, lines))


def invoices(count: int) -> None:
    """Make so many invoices, say each tenth of them, and how many they were in a second."""
    start = process_time()
    for number in range(count):
        assert invoice(number).due.amount > 0
        if (number + 1) % (count // 10) == 0:
            sys.stderr.write(f"{number + 1:,} of {count:,} invoices\n")
    seconds = process_time() - start
    say(f"{count:,} invoices of {INVOICE_LINES} taxed lines: {seconds:.1f} s, {count / seconds:,.0f} a second")


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")


def main() -> int:
    """Measure; 1 where a ratio is above its bound."""
    parser = ArgumentParser(description="What rating costs.")
    parser.add_argument("--quick", action="store_true", help=f"one invoice of {QUICK_SHARE}, and fewer turns")
    is_quick = parser.parse_args().quick
    are_kept = ratios(TURNS_QUICK if is_quick else TURNS)
    invoices(INVOICES // QUICK_SHARE if is_quick else INVOICES)
    return int(not are_kept)


if __name__ == "__main__":
    sys.exit(main())
