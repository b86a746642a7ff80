"""Messages that are written by hand are those that protobuf would have written."""

from __future__ import annotations

from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from billing_core.periods import Interval
from gateway.answers import response_of
from gateway.counters.consume import COUNTED, PEEKED, REFUSED, REPLAYED, Answer
from gateway.counters.order import LIFETIME, Order, Quota, Span
from gateway.decision import Decision, LimitKind, LimitState, Reason
from gateway.entitlements import Customer, Plan
from gateway.errors import IdempotencyKeyReusedError
from gateway.lane.messages import answer_bytes, batch_bytes, claims_in, varint
from gateway.lane.remembered import KEY_BYTES_MAX, Remembered
from gateway.lane.replies import percent_encoded
from gateway.prepared import Counted, Counting
from gateway.status import status_of
from gateway.tally import Against, Label
from gateway.v1.entitlement_pb2 import (
    BatchCheckEntitlementsRequest,
    BatchCheckEntitlementsResponse,
    CheckEntitlementRequest,
)

NUMBERS = st.none() | st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 127, 128, 2**14 - 1, 2**14, 2**53 - 1])
DECISIONS = st.builds(
    Decision,
    allowed=st.booleans(),
    reason=st.sampled_from(Reason),
    decision_id=st.text(st.characters(codec="utf-8"), max_size=200),
    plan=st.text(st.characters(codec="utf-8"), max_size=70),
    limit=NUMBERS,
    used=NUMBERS,
    remaining=NUMBERS,
    resets_at_ms=NUMBERS,
    retry_after_ms=NUMBERS,
    overage=NUMBERS,
    value=st.text(st.characters(codec="utf-8"), max_size=300),
    degraded=st.booleans(),
    replayed=st.booleans(),
    upgrade_plans=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=4).map(tuple),
    limits=st.lists(
        st.builds(LimitState, st.text("abc", max_size=9), st.sampled_from(LimitKind), NUMBERS, NUMBERS), max_size=3
    ).map(tuple),
)

COUNTS = st.integers(0, 2**53 - 1) | st.integers(0, 2**15)
ANSWERS = st.tuples(
    st.sampled_from([COUNTED, COUNTED, COUNTED, REPLAYED, PEEKED, REFUSED]),
    COUNTS,
    st.tuples(st.tuples(COUNTS, COUNTS)),
    st.from_regex(rb"[a-z0-9-]{1,64}", fullmatch=True),
).map(lambda said: Answer(said[0], said[1], 0, said[2], event_id=said[3]))


@given(DECISIONS)
def test_a_decision_is_written_as_protobuf_writes_it(decision: Decision) -> None:
    """Byte for byte, with every field present and absent."""
    assert answer_bytes(decision) == response_of(decision).SerializeToString()


@given(
    ceiling=st.none() | COUNTS,
    overage=st.booleans(),
    plan=st.text("abc-", min_size=1, max_size=64),
    span=st.sampled_from([Span(0, 60_000), Span(1000, 2000), Span(1, 2**47), LIFETIME]),
    answers=st.lists(ANSWERS, min_size=1, max_size=4),
)
def test_what_was_counted_is_written_as_its_decision(
    ceiling: int | None, overage: bool, plan: str, span: Span, answers: list[Answer]
) -> None:
    """Byte for byte, the first answer to a claim and those that follow it."""
    limit = Quota("calls:month", span, None if overage else ceiling)
    against = Against((limit,), ((Label("month", LimitKind.QUOTA, ceiling),),), ("up",), 2**53 - 1)
    order = Order(7, "acme", (limit,), quantity=3, version=2)
    who, terms = Customer(7, 2, 0, "plan:a:1", 0.0), Plan(plan, Interval.MONTH, {}, 0.0)
    found = Counting(who, terms, against, order, until_s=1.0)
    for answer in answers:
        told = Counted(found, answer)
        decision = told.decision()
        assert answer_bytes(told) == response_of(decision).SerializeToString() == answer_bytes(decision)


@given(st.lists(DECISIONS | st.just(IdempotencyKeyReusedError("k")), max_size=5))
def test_a_batch_is_read_as_what_was_meant(answers: list[Decision | IdempotencyKeyReusedError]) -> None:
    """Decisions by their places, and the status of each that failed."""
    told = [status_of(answer) if isinstance(answer, IdempotencyKeyReusedError) else answer for answer in answers]
    expected = BatchCheckEntitlementsResponse()
    for place, answer in enumerate(told):
        if isinstance(answer, Status):
            expected.decisions.add()
            expected.failed_requests[place].CopyFrom(answer)
        else:
            expected.decisions.append(response_of(answer))
    assert BatchCheckEntitlementsResponse.FromString(batch_bytes(told)) == expected


def test_a_number_has_as_many_bytes_as_it_needs() -> None:
    """Seven bits each."""
    assert [len(varint(number)) for number in (0, 127, 128, 16_383, 16_384, 2**63 - 1)] == [1, 1, 2, 2, 3, 9]


def test_what_is_used_is_remembered_and_the_rest_is_bounded() -> None:
    """An entry that is asked for again and again survives any number of others; a long key is never held."""
    remembered: Remembered[int] = Remembered(100)
    remembered.hold(b"used", 1)
    for number in range(10_000):
        remembered.hold(b"%d" % number, number)
        assert remembered.get(b"used") == 1
        assert len(remembered._young) + len(remembered._old) <= 100
    assert remembered.get(b"0") is None
    assert remembered.get(b"9999") == 9999
    remembered.hold(b"k" * (KEY_BYTES_MAX + 1), 1)
    assert remembered.get(b"k" * (KEY_BYTES_MAX + 1)) is None


def test_a_batch_is_cut_into_its_claims() -> None:
    """As protobuf does, where it holds claims and nothing else; anything else is left to protobuf."""
    claims = [CheckEntitlementRequest(customer="acme", feature=f"f{number}", quantity=number) for number in range(1, 9)]
    whole = BatchCheckEntitlementsRequest(claims=claims).SerializeToString()
    assert claims_in(whole) == [claim.SerializeToString() for claim in claims]
    long = CheckEntitlementRequest(customer="a", feature="f", idempotency_key="k" * 200).SerializeToString()
    for other in (b"", whole + b"\x10\x01", whole[:-1], b"\x0a", b"\x0a\x80\x01" + long, b"\x12\x00"):
        assert claims_in(other) == []


def test_an_errors_words_are_written_in_letters_that_a_header_may_have() -> None:
    """Whatever is not printable ASCII is encoded, and what begins an encoded letter."""
    assert percent_encoded("a\nb\tc\0 100 % é ~\x7f") == b"a%0Ab%09c%00 100 %25 %C3%A9 ~%7F"
