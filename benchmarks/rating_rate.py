"""How much rating costs beside the bare arithmetic, as ratios of one run, in processor time."""  # noqa: INP001 - a script

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from time import process_time

from billing_core.catalog import MeterPrice
from billing_core.money import Currency
from billing_core.periods import Period
from billing_core.prices import Graduated, Tier
from billing_core.rating import RatingRequest, Usage, rate

LINES, REPEATS = 1000, 7
LINE_RATIO_MAX, TENFOLD_RATIO_MAX = 8, 11
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
PRICE = Graduated((Tier(10_000, 0), Tier(100_000, "0.002"), Tier(None, "0.001")), 1000)
QUANTITIES = [Decimal(123_456 + number) for number in range(LINES)]
UNIT, CENT = Decimal("0.002"), Decimal("0.01")


def bare() -> None:
    """Multiply and quantize once a line, and keep nothing."""
    for quantity in QUANTITIES:
        (quantity * UNIT).quantize(CENT, ROUND_HALF_UP)


def request(lines: int) -> RatingRequest:
    """Ask for so many graduated lines, each of which reaches all three tiers."""
    meters = [f"m{number}" for number in range(lines)]
    usage = [Usage(meter, quantity) for meter, quantity in zip(meters, QUANTITIES, strict=False)]
    return RatingRequest(Currency("USD"), JANUARY, [MeterPrice(meter, PRICE) for meter in meters], (), usage)


def best_seconds(run: Callable[[], object]) -> float:
    """Take the best of several runs: what disturbs only ever adds."""
    seconds = []
    for _ in range(REPEATS):
        start = process_time()
        run()
        seconds.append(process_time() - start)
    return min(seconds)


def main() -> int:
    """Print both ratios; 1 where one is above its bound."""
    many, few = request(LINES), request(LINES // 10)
    bare_s, many_s, few_s = best_seconds(bare), best_seconds(lambda: rate(many)), best_seconds(lambda: rate(few))
    line_ratio, tenfold_ratio = many_s / bare_s, many_s / few_s
    sys.stdout.write(f"a graduated line of three tiers: {many_s / LINES * 1e6:.2f} µs, {line_ratio:.1f} times ")
    sys.stdout.write(f"a bare multiply and quantize ({bare_s / LINES * 1e6:.2f} µs); at most {LINE_RATIO_MAX}\n")
    sys.stdout.write(f"ten times the lines: {tenfold_ratio:.1f} times the time; at most {TENFOLD_RATIO_MAX}\n")
    return int(line_ratio > LINE_RATIO_MAX or tenfold_ratio > TENFOLD_RATIO_MAX)


if __name__ == "__main__":
    sys.exit(main())
