"""When an epoch may open: every judgement of the keeper, from what Postgres knows and what Redis holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.counters.keys import BUCKETS
from gateway.counters.line import Line
from gateway.counters.usage import StreamId
from gateway.errors import StoreCorruptError
from gateway.keeper import Closed, Holds, Open, judge
from gateway.records.deployment import Deployment

REPLID = "r1"
RUNNING = Deployment("d", 3, REPLID, opened=True)
NOTHING = [StreamId(0, 0)] * BUCKETS
SOME = [StreamId(5, 1)] * BUCKETS
NO_LINES = [None] * BUCKETS


def lines(epoch: int = 3, replid: str = REPLID, deployment: str = "d") -> list[Line | None]:
    """Every bucket with the same line."""
    return [Line(deployment, epoch, replid)] * BUCKETS


def test_two_new_stores_open_the_first_epoch() -> None:
    """Nothing was ever counted or written: nothing can be missing."""
    assert judge(Deployment("d", 0, "", opened=True), REPLID, NO_LINES, NOTHING, NOTHING) == Open(1)


def test_the_running_epoch_holds() -> None:
    """Every line is ours, on this very server."""
    assert judge(RUNNING, REPLID, lines(), SOME, SOME) == Holds()


def test_a_server_that_started_anew_with_everything_opens_the_next() -> None:
    """The data is all there, only the server is another process, or was when one of the lines was written."""
    assert judge(RUNNING, "r2", lines(), SOME, SOME) == Open(4)
    mixed = [*lines()[1:], Line("d", 3, "r0")]
    assert judge(RUNNING, REPLID, mixed, SOME, SOME) == Open(4)


def test_an_epoch_that_was_decided_and_not_opened_everywhere_is_opened_again() -> None:
    """The keeper died between Postgres and the last bucket; some lines are old, some new, all are there."""
    mixed = lines(2)[:30] + lines(3)[30:]
    assert judge(replace(RUNNING, opened=False), REPLID, mixed, SOME, SOME) == Open(3)
    assert isinstance(judge(RUNNING, REPLID, mixed, SOME, SOME), Closed)


def test_a_first_opening_that_was_cut_short_is_opened_again() -> None:
    """Epoch 1 was decided and only some buckets heard of it: nothing was ever counted, so nothing can be missing."""
    begun = Deployment("d", 1, REPLID, opened=False)
    half = [*lines(1)[:30], *NO_LINES[30:]]
    assert judge(begun, REPLID, half, NOTHING, NOTHING) == Open(1)
    assert judge(begun, REPLID, NO_LINES, NOTHING, NOTHING) == Open(1)
    assert isinstance(judge(begun, REPLID, half, SOME, NOTHING), Closed)
    assert isinstance(judge(replace(begun, opened=True), REPLID, half, NOTHING, NOTHING), Closed)


@pytest.mark.parametrize("bucket", [0, 17, 63])
def test_one_bucket_without_its_line_closes(bucket: int) -> None:
    """A single lost bucket is enough, and is named."""
    held = lines()
    held[bucket] = None
    judged = judge(RUNNING, "r2", held, SOME, SOME)
    assert isinstance(judged, Closed)
    assert f"l{bucket}" in judged.why


@pytest.mark.parametrize("held", [lines(deployment="other"), lines(epoch=2), lines(epoch=4)])
def test_lines_of_another_deployment_or_time_close(held: list[Line | None]) -> None:
    """Neither somebody else's counters nor an old copy nor a Postgres behind its Redis is believed."""
    assert isinstance(judge(RUNNING, REPLID, held, SOME, SOME), Closed)


@pytest.mark.parametrize("bucket", [0, 17, 63])
def test_a_stream_behind_its_watermark_closes(bucket: int) -> None:
    """Entries are gone that Postgres has seen: others may be gone that it has not."""
    behind = [*SOME]
    behind[bucket] = StreamId(5, 0)
    judged = judge(RUNNING, "r2", lines(), behind, SOME)
    assert isinstance(judged, Closed)
    assert f"l{bucket}" in judged.why


def test_a_stream_ahead_of_its_watermark_is_fine() -> None:
    """What is not flushed yet is no loss."""
    assert judge(RUNNING, "r2", lines(), [StreamId(9, 0)] * BUCKETS, SOME) == Open(4)


def test_an_empty_redis_under_an_old_postgres_closes() -> None:
    """All lines are gone: this is the loss that must be noticed."""
    assert isinstance(judge(RUNNING, "r2", NO_LINES, NOTHING, SOME), Closed)
    assert isinstance(judge(RUNNING, "r2", NO_LINES, NOTHING, NOTHING), Closed)


def test_a_new_postgres_over_an_old_redis_closes() -> None:
    """Counters without the deployment they belong to are nobody's."""
    assert isinstance(judge(Deployment("n", 0, "", opened=True), REPLID, lines(), SOME, NOTHING), Closed)
    assert isinstance(judge(Deployment("n", 0, "", opened=True), REPLID, NO_LINES, SOME, NOTHING), Closed)


def test_a_line_reads_as_it_is_written() -> None:
    """Deployment, epoch and replication id survive; anything else is refused with what was expected."""
    assert Line.parse(b"d:3:r1") == Line("d", 3, "r1")
    assert str(Line("d", 3, "r1")) == "d:3:r1"
    for broken in (b"", b"d", b"d:3", b"d:x:r", b":3:r"):
        with pytest.raises(StoreCorruptError, match="<deployment>:<epoch>:<master_replid>"):
            Line.parse(broken)
