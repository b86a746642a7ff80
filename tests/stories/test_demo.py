"""`tollkeeper demo`: one story that works on any machine, whose every number was read from the running system."""

from __future__ import annotations

import signal
import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import terminal
from tests.terminal import Children

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Iterator

COLD_START_S_MAX = 5.0


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The demo's temporary folder, which must be empty afterwards."""
    with tempfile.TemporaryDirectory(prefix="tk-test-") as folder:
        yield Path(folder)
        assert not list(Path(folder).iterdir())


async def started(temporary: Path, *arguments: str, children_min: int) -> tuple[Process, Children]:
    """Start the demo, and wait until it has started so many processes: Valkey, initdb, Postgres."""
    process = await terminal.start("demo", *arguments, TMPDIR=str(temporary))

    async def started_them() -> bool:
        assert process.returncode is None
        return len(noted(temporary).pids) >= children_min

    await terminal.eventually(started_them, "the demo's stores do not run")
    return process, noted(temporary)


def noted(temporary: Path) -> Children:
    """Read which processes the demo has started so far."""
    states = [found.parent for found in temporary.glob("tk-demo-*/state/children")]
    return Children.of(states[0]) if states else Children((), temporary)


async def test_one_json_document_tells_the_whole_story(temporary: Path) -> None:
    """`--json` prints one document whose usage and total are exact sums, and leaves no process and no folder."""
    process, children = await started(temporary, "--json", children_min=3)
    ran = await terminal.ended(process)
    assert ran.exit_code == 0, ran.err
    children.assert_gone()
    told = ran.json
    assert list(told) == ["decisions", "usage", "charges", "total"]

    allowed: Counter[str] = Counter()
    for decision in told["decisions"]:
        assert list(decision) == ["feature", "quantity", "allowed", "reason", "remaining", "upgrade_plans"]
        assert decision["allowed"] == (decision["reason"] == "OK")
        assert decision["upgrade_plans"] == ([] if decision["allowed"] else ["scale"])
        if decision["feature"] in told["usage"]:
            allowed[decision["feature"]] += decision["quantity"] * decision["allowed"]
        if decision["feature"] == "input_tokens":
            assert decision["remaining"] == 1_000_000 - allowed["input_tokens"]
    assert {"OK", "QUOTA_EXCEEDED", "FEATURE_OFF"} == {decision["reason"] for decision in told["decisions"]}
    assert told["usage"] == {"input_tokens": 1_000_000, "output_tokens": 120_000} == allowed

    # 990,000 input tokens above the free 10,000 at $0.002 for 1,000; 120,000 output tokens at $0.006; the month's fee
    amounts = [charge["amount"] for charge in told["charges"]]
    assert [list(charge) for charge in told["charges"]] == [["description", "quantity", "amount"]] * 3
    assert amounts == ["1.98", "0.72", "49.99"]
    assert Decimal(told["total"]) == sum(map(Decimal, amounts)) == Decimal("52.69")


async def test_people_read_a_story_and_a_table(temporary: Path) -> None:
    """Without `--json` the story is told in words and the charges stand in a table; progress is on standard error."""
    ran = await terminal.run("demo", TMPDIR=str(temporary))
    assert ran.exit_code == 0, ran.err
    assert "check acme input_tokens 75,000 → denied QUOTA_EXCEEDED, 50,000 left, upgrade to scale" in ran.out
    assert "│ input_tokens (graduated) │ 1,000,000 │         1.98 │" in ran.out
    assert "│ Total                    │           │        52.69 │" in ran.out
    assert "starting " in ran.err
    assert "first check answered" in ran.err


async def test_the_first_allowed_check_comes_within_five_seconds(temporary: Path) -> None:
    """From the command to the first allowed check, on stores that were started and prepared for it."""
    began = time.monotonic()
    process = await terminal.start("demo", TMPDIR=str(temporary))
    assert process.stdout is not None
    while "→ allowed" not in (line := (await process.stdout.readline()).decode()):
        assert line, "the demo ended"
    assert time.monotonic() - began < COLD_START_S_MAX
    assert (await terminal.ended(process)).exit_code == 0


async def test_a_kept_demo_serves_until_told_to_stop(temporary: Path) -> None:
    """`--keep` leaves the gateway serving: it says where, answers there, and Ctrl-C ends it like any other demo."""
    process, children = await started(temporary, "--keep", children_min=3)
    assert process.stderr is not None
    while not (line := (await process.stderr.readline()).decode()).startswith("serving on "):
        assert line, "the demo ended"
    target = line.removeprefix("serving on ").partition(";")[0]
    checked = await terminal.run("check", "acme", "output_tokens", "--quantity", "5", "--json", "--target", target)
    assert (checked.exit_code, checked.json["used"]) == (0, 120_005)
    process.send_signal(signal.SIGINT)
    ran = await terminal.ended(process)
    assert (ran.exit_code, ran.err) == (0, "stopping\n")
    children.assert_gone()


async def test_an_interrupted_demo_leaves_nothing(temporary: Path) -> None:
    """Ctrl-C while the stores start ends the demo at once, with the shell's code for it and nothing left behind."""
    process, children = await started(temporary, children_min=2)
    process.send_signal(signal.SIGINT)
    ran = await terminal.ended(process)
    assert ran.exit_code in {0, 130}, ran  # 0 when the story had come to its end
    assert "Traceback" not in ran.err
    children.assert_gone()
