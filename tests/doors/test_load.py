"""The load generator counts what a real server was asked, and takes no wrong reply for an answer."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from benchmarks import blocks
from benchmarks.blocks import Ratio, Session, Subject
from benchmarks.histogram import Histogram
from benchmarks.load import Load, LoadError, Shape
from benchmarks.processes import Server, Shares, reading
from benchmarks.wire import HeaderBlocks, WireError
from benchmarks.workload import Draw, batches, checks
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    BatchCheckEntitlementsResponse,
    CheckEntitlementRequest,
    CheckEntitlementResponse,
    Reason,
)
from gateway.v1.entitlement_pb2_grpc import EntitlementServiceServicer, add_EntitlementServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.load import Outcome, Work
    from benchmarks.wire import Reply

DRAW = Draw(20)
STRICT = checks(DRAW, "calls")
SHAPE = Shape(2, 4)


class Service(EntitlementServiceServicer):  # type: ignore[misc]
    """Counts each claim once, unless `spoil` does something to the n-th answer."""

    def __init__(self, spoil: Callable[[int, CheckEntitlementResponse, Any], None]) -> None:
        self.asked = 0
        self.claims: list[CheckEntitlementRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.used: Counter[tuple[str, str]] = Counter()
        self._spoil = spoil
        self._one_at_a_time = threading.Lock()

    def CheckEntitlement(self, request: CheckEntitlementRequest, context: Any) -> CheckEntitlementResponse:  # noqa: N802
        """Answer one claim."""
        with self._one_at_a_time:
            return self._answer(request, context)

    def BatchCheckEntitlements(  # noqa: N802
        self, request: BatchCheckEntitlementsRequest, context: Any
    ) -> BatchCheckEntitlementsResponse:
        """Answer each claim."""
        with self._one_at_a_time:
            return BatchCheckEntitlementsResponse(decisions=[self._answer(claim, context) for claim in request.claims])

    def _answer(self, claim: CheckEntitlementRequest, context: Any) -> CheckEntitlementResponse:
        self.asked += 1
        self.claims.append(claim)
        self.metadata.append(dict(context.invocation_metadata()))
        self.used[claim.customer, claim.feature] += 1
        response = CheckEntitlementResponse(
            allowed=True, reason=Reason.OK, used=self.used[claim.customer, claim.feature]
        )
        self._spoil(self.asked, response, context)
        return response


@contextmanager
def serving(
    address: str = "127.0.0.1:0", spoil: Callable[[int, CheckEntitlementResponse, Any], None] = lambda *_: None
) -> Iterator[tuple[Service, str]]:
    """Run the service on real grpcio, in threads of this process."""
    service, server = Service(spoil), grpc.server(ThreadPoolExecutor(1))
    add_EntitlementServiceServicer_to_server(service, server)
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield service, address if address.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def load(target: str, workload: Work = STRICT, shape: Shape = SHAPE, seconds: float = 0.2) -> Outcome[None]:
    """Put some on it."""
    with closing(Load(target, workload, shape)) as opened:
        return opened.put(seconds, lambda: None)


def test_every_call_is_counted_once(short_folder: Path) -> None:
    """What was sent is what the server was asked, over TCP and a unix socket; nothing stays under way."""
    for address in ("127.0.0.1:0", f"unix:{short_folder / 'served.sock'}"):
        with serving(address) as (service, target):
            outcome = load(target)
            assert 0 < outcome.calls == service.asked
            assert [claim.customer for claim in service.claims].count(DRAW[0]) >= 1


def test_customers_come_as_they_were_drawn() -> None:
    """One connection with one call asks for the customers in their order and goes on where it ended; keys differ."""
    seen: list[int] = []

    def noting(replies: Iterable[Reply]) -> list[str]:
        seen.extend(number for number, _, _ in replies)
        return []

    keyed = replace(checks(DRAW, "calls", keyed=True), mistakes=noting)
    with serving() as (service, target), closing(Load(target, keyed, Shape(1, 1))) as one:
        for _ in range(2):
            one.put(0.05, lambda: None)
        assert seen == list(range(service.asked))
        assert [claim.customer for claim in service.claims] == [DRAW[number] for number in seen]
        assert len({claim.idempotency_key for claim in service.claims}) == service.asked == one.asked


def test_headers_are_the_same_on_every_call() -> None:
    """Also those too long for one byte of length, and after the first call only by their place in the table."""
    key = "Bearer " + "k" * 300
    with serving() as (service, target):
        load(target, checks(DRAW, "calls", [("authorization", key)]))
        assert service.asked > 1
        assert {seen["authorization"] for seen in service.metadata} == {key}


def test_more_is_sent_than_one_window_holds() -> None:
    """A connection's flow control is kept: grpcio takes 64 KiB at first, and more as it reads."""
    features = [f"{'feature' * 8}_{place}" for place in range(8)]
    with serving() as (service, target):
        outcome = load(target, batches(DRAW, features, 64), Shape(1, 64), seconds=0.3)
        assert service.asked == 64 * outcome.calls
        assert sum(claim.ByteSize() for claim in service.claims) > 2 * 65_535


def refuse(number: int, _: CheckEntitlementResponse, context: Any) -> None:
    """Fail the ninth call."""
    if number == 9:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")


def deny(number: int, response: CheckEntitlementResponse, _: Any) -> None:
    """Deny the ninth claim."""
    if number == 9:
        response.allowed, response.reason = False, Reason.QUOTA_EXCEEDED


def misstate(number: int, response: CheckEntitlementResponse, _: Any) -> None:
    """Allow the ninth claim with another reason."""
    if number == 9:
        response.reason = Reason.FEATURE_OFF


def count_twice(number: int, response: CheckEntitlementResponse, _: Any) -> None:
    """Say of the ninth claim that one more was used."""
    if number == 9:
        response.used += 1


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (refuse, "grpc-status 8 too much"),
        (deny, "expected a plain OK, not reason: QUOTA_EXCEEDED"),
        (misstate, "expected a plain OK, not allowed: true reason: FEATURE_OFF"),
        (count_twice, "uses counted from"),
    ],
)
def test_one_wrong_reply_among_many_is_noticed(
    spoil: Callable[[int, CheckEntitlementResponse, Any], None], complaint: str
) -> None:
    """Another status, another decision, or a use that is counted twice: what was measured is thrown away."""
    for workload in (STRICT, batches(DRAW, ["calls"], 4)):
        with serving(spoil=spoil) as (_, target), pytest.raises(LoadError, match=complaint):
            load(target, workload)


def test_what_is_no_answer_is_an_error() -> None:
    """A method that is not there is a wrong status; a server that hangs up, or speaks another protocol, is none."""
    elsewhere = replace(STRICT, blocks=HeaderBlocks.of("/gateway.v1.EntitlementService/Nothing"))
    with serving() as (_, target), pytest.raises(LoadError, match="grpc-status 12"):
        load(target, elsewhere)
    for said, complaint in ((b"", "hung up"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "frame|hung up")):
        with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as thread:
            thread.submit(answer_and_hang_up, listening, said)
            with pytest.raises(WireError, match=complaint):
                load(f"127.0.0.1:{listening.getsockname()[1]}", shape=Shape(1, 1))


def answer_and_hang_up(listening: socket.socket, said: bytes) -> None:
    """Take one connection, read its greeting, say something, close."""
    with listening.accept()[0] as taken:
        taken.recv(1000)
        taken.sendall(said)


def test_latency_counts_from_when_a_call_was_due() -> None:
    """One call that takes long delays all that fall due meanwhile, and each of them shows it."""

    def stall(number: int, _: CheckEntitlementResponse, __: Any) -> None:
        if number == 150:
            time.sleep(0.2)

    with serving(spoil=stall) as (service, target):
        outcome = load(target, STRICT, Shape(2, rate_hz=400), seconds=1.0)
        assert service.asked == outcome.calls
        assert 395 <= outcome.calls <= 405
        assert 315 <= outcome.latency_ns.count == outcome.lateness_ns.count <= 325  # but for the first fifth
        assert outcome.latency_ns.percentile(90) > 50e6
        assert outcome.latency_ns.percentile(25) < 50e6
        assert outcome.lateness_ns.percentile(50) < 20e6  # we were in time


def test_a_percentile_is_within_a_hundredth() -> None:
    """Whatever the size of the values."""
    draw = random.Random(7)  # noqa: S311 - no secret
    values = sorted(int(10 ** draw.uniform(0, 11)) for _ in range(5000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for percent in (1, 50, 90, 99, 100):
        exact = values[int(len(values) * percent / 100) - 1]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.01)


def test_a_tree_is_measured_with_its_children_and_nobody_else() -> None:
    """What a child of the server computes is the server's; what the rest of us compute is not."""
    burn = "import sys, time\nwhile time.process_time() < 0.3: pass\nsys.stdin.read()"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]]); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", parent, burn], stdin=subprocess.PIPE) as process:
        before = reading(process.pid)
        until = time.monotonic() + 20
        while (after := reading(process.pid)).server_s < before.server_s + 0.3:
            assert time.monotonic() < until
        shares = Shares.between(before, after)
        process.communicate()
    assert shares.server_s < 0.8
    assert after.ours_s - before.ours_s >= shares.server_s
    assert 0 <= shares.foreign <= 1


def test_a_disturbed_pass_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as was agreed beforehand; after that it is kept, and known as disturbed."""
    monkeypatch.setattr(blocks, "FOREIGN_MAX", -1.0)
    emptied: list[None] = []
    with serving() as (_, target), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        subject = Subject("one", Server("one", target, idle), STRICT, Shape(1, 1))
        session = Session(redos_left=2, progress=lambda _: None)
        session.compare([subject], 2, 0.1, lambda: emptied.append(None))
        idle.communicate()
    told = session.document()
    assert (len(told["kept"]), len(told["dropped"]), told["passes_kept_though_disturbed"]) == (2, 2, 2)
    assert len(emptied) == 4


def test_ratios_are_told_with_their_spread() -> None:
    """The middle of the pairs, or all by all, and an interval around it that is a point when all pairs are alike."""
    assert Ratio.of_medians([2.0] * 5) == Ratio(2.0, 2.0, 2.0, 5)
    spread = Ratio.of_medians([1.0, 2.0, 3.0, 4.0, 100.0])
    assert spread.value == 3
    assert spread.low < 3 < spread.high
    lump = Ratio.of_sums([(10.0, 10, 10.0, 10)] * 9 + [(110.0, 10, 10.0, 10)])
    assert lump.value == pytest.approx(2)
    assert lump.low < 2 < lump.high
