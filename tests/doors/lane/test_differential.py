"""Both doors say the same to the same question: whatever is asked, and whatever goes wrong in our code."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import Compression, StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import errors
from gateway.claims import BATCH_MAX
from gateway.errors import TollkeeperError, Violation
from gateway.lane.limits import Limits
from gateway.settings import SettingsError
from gateway.status import CODES
from gateway.v1.entitlement_pb2 import BatchCheckEntitlementsRequest as Batch
from gateway.v1.entitlement_pb2 import CheckEntitlementRequest as Request
from tests.doors.lane.both import BATCH, CHECK, HEALTH, SERVICE, doors_on
from tests.doors.lane.twins import EITHER, channels_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.doors.lane.twins import Answer, Channels

PATIENT = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# what may be asked

FEATURES = ("input_tokens", "output_tokens", "requests", "max_seats", "priority_queue", "nothing")
KEYS = ("", "k1", "k2", "k3", "~" * 255, "k" * 256, "\n", "é")
TEXTS = st.text(max_size=70)

CLAIMS = st.builds(
    Request,
    customer=st.just(EITHER) | st.sampled_from(("nobody", "")) | TEXTS,
    feature=st.sampled_from(FEATURES) | TEXTS,
    quantity=st.none() | st.sampled_from((0, -1, 1, 90, 400_000, 2**53 - 1, 2**53, -(2**63))),
    peek=st.booleans(),
    idempotency_key=st.sampled_from(KEYS),
)
VALID_CLAIMS = st.builds(
    Request,
    customer=st.just(EITHER),
    feature=st.sampled_from(FEATURES),
    quantity=st.none() | st.integers(1, 200_000),
    peek=st.booleans(),
    idempotency_key=st.sampled_from(KEYS[:5]),
)
BATCHES = st.builds(Batch, claims=st.lists(VALID_CLAIMS, min_size=1, max_size=8) | st.lists(CLAIMS, max_size=3))
UNKNOWN_FIELDS = st.sampled_from((b"", bytes.fromhex("9a060568656c6c6f"), bytes.fromhex("a00601"), b"\x0a\x03abc"))


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a method and a request to it: valid, invalid, with unknown fields, cut off, or no message at all."""
    message = draw(VALID_CLAIMS | CLAIMS | BATCHES)
    method = CHECK if isinstance(message, Request) else BATCH
    raw = message.SerializeToString() + draw(UNKNOWN_FIELDS)
    match draw(st.sampled_from(("whole",) * 6 + ("cut", "other", "random"))):
        case "cut":
            raw = raw[: draw(st.integers(0, len(raw)))]
        case "other":
            method = draw(st.sampled_from((CHECK, BATCH)))
        case "random":
            raw = draw(st.binary(max_size=40))
    return method, raw


@PATIENT
@given(asked=st.lists(questions(), min_size=1, max_size=8), how=st.sampled_from(Compression))
async def test_both_doors_say_the_same(channels: Channels, asked: list[tuple[str, bytes]], how: Compression) -> None:
    """The answer, its code, its words, its details and all metadata; what is counted adds up alike, asked again too."""
    for method, raw in asked * 2:
        answer = await channels.agree(method, raw, compression=how)
        assert answer.code in {StatusCode.OK, StatusCode.INVALID_ARGUMENT}


async def test_batches_have_the_same_bound(channels: Channels) -> None:
    """A thousand claims are answered one by one, one more is too many, and none are too few."""
    claim = Request(customer=EITHER, feature="priority_queue")
    whole = await channels.agree(BATCH, Batch(claims=[claim] * BATCH_MAX).SerializeToString())
    assert len(whole.message.decisions) == BATCH_MAX == 1000
    for count in (0, BATCH_MAX + 1):
        refused = await channels.agree(BATCH, Batch(claims=[claim] * count).SerializeToString())
        assert refused.code is StatusCode.INVALID_ARGUMENT


# what may go wrong in our code

UNREACHABLE = {
    errors.UnauthenticatedError: "where nobody is asked; where keys are, see below",
    errors.PermissionDeniedError: "where nobody is asked; where keys are, see below",
    errors.NotFoundError: "Health only, see below",
    errors.AlreadyExistsError: "commands only, which the lane does not take",
    errors.PreconditionError: "commands only, which the lane does not take",
    errors.StoreUnavailableError: "a check without its stores is answered by policy",
    errors.StoreCorruptError: "a document that cannot be read is answered by policy",
    errors.OverloadedError: "the lane only: the other door lets calls wait",
}
"""Errors of the table that no check on both doors can bring about; a stand-in does, below."""


async def test_each_error_that_a_check_can_bring_about_is_told_alike(channels: Channels) -> None:
    """With real stores: whatever the table has and is not known to be out of reach is seen."""
    claim = Request(customer=EITHER, feature="input_tokens", idempotency_key="once")
    reused = Request(customer=EITHER, feature="input_tokens", idempotency_key="once", quantity=2)
    assert (await channels.agree(CHECK, claim.SerializeToString())).code is StatusCode.OK
    seen = {
        _reason(await channels.agree(CHECK, reused.SerializeToString())),
        _reason(await channels.agree(CHECK, b"")),
        _reason(await channels.agree(CHECK, b"\xff")),
        _reason(await channels.agree(BATCH, b"")),
    }
    assert seen == {error.reason for error in set(CODES) - set(UNREACHABLE)}
    batch = await channels.agree(BATCH, Batch(claims=[claim, reused, claim]).SerializeToString())
    assert batch.code is StatusCode.OK
    assert "used for another request" in str(batch.message)


def _reason(answer: Answer) -> str:
    info = ErrorInfo()
    assert answer.status is not None
    assert answer.status.details[0].Unpack(info)
    assert (answer.status.code, answer.status.message) == (answer.code.value[0], answer.words)
    return info.reason


class Broken:
    """A stand-in for a checker that fails, or never says anything."""

    error: Exception | None = None

    def prepare(self, claim: Any) -> Any:
        """Take anything."""
        return claim

    def submit(self, *_: Any) -> None:
        """Fail."""
        if self.error is not None:
            raise self.error

    submit_batch = submit


def made(kind: type[TollkeeperError], text: str) -> TollkeeperError:
    """Make an error of any kind that says something."""
    return kind(Violation("field", text)) if kind is errors.InvalidRequestError else kind(text)  # type: ignore[arg-type]


@pytest.fixture
async def broken(short_folder: Path) -> AsyncIterator[tuple[Broken, Channels]]:
    """Both doors of a checker that fails."""
    checker = Broken()
    async with doors_on(checker, short_folder) as doors, channels_to(doors) as connected:
        yield checker, connected


ASKED = (
    (CHECK, Request(customer="acme", feature="calls").SerializeToString()),
    (BATCH, Batch(claims=[Request(customer="acme", feature="calls")] * 2).SerializeToString()),
)
FOREIGN = (SettingsError("a secret"), ValueError("a secret"), AssertionError("a secret"), KeyError("a secret"))


@pytest.mark.parametrize("kind", CODES)
async def test_an_error_of_the_table_is_told_alike(
    broken: tuple[Broken, Channels], kind: type[TollkeeperError]
) -> None:
    """Whatever stands in it, long or in any language; the details are ours on both doors."""
    checker, channels = broken
    texts = ("", "x", "100 % of é, 漢字 and 🚀", "a\nb\tc\0d\x7f", "%41%zz %", " x ", "x" * 2000)
    for text in texts:
        checker.error = made(kind, text)
        for method, raw in ASKED:
            answer = await channels.agree(method, raw)
            assert (answer.code.value[0], _reason(answer)) == (CODES[kind], kind.reason)
            assert answer.words == str(checker.error)[:1000]


@PATIENT
@given(text=st.text(max_size=200))
async def test_any_text_is_told_alike(broken: tuple[Broken, Channels], text: str) -> None:
    """Percent signs, control characters, any script: what was said arrives, in the words and in the details."""
    checker, channels = broken
    checker.error = errors.NotFoundError(text)
    answer = await channels.agree(*ASKED[0])
    assert answer.words == str(checker.error)


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
async def test_a_bug_is_told_alike(broken: tuple[Broken, Channels], error: Exception) -> None:
    """INTERNAL, and not a word of what it was."""
    checker, channels = broken
    checker.error = error
    for method, raw in ASKED:
        answer = await channels.agree(method, raw)
        assert (answer.code, _reason(answer)) == (StatusCode.INTERNAL, "INTERNAL")
        assert "secret" not in str(answer)


async def test_many_violations_are_told_alike(channels: Channels) -> None:
    """As far as trailers carry them."""
    wrong = Batch(claims=[Request(customer="a b", feature="c d", quantity=0)] * 300)
    answer = await channels.agree(BATCH, wrong.SerializeToString())
    assert answer.status is not None
    assert 2000 < answer.status.ByteSize() < 5000


# what grpcio says by itself


REFUSED_BY_GRPC = {
    "unknown method": (CHECK + "s", b"", {}, StatusCode.UNIMPLEMENTED),
    "unknown service": ("/gateway.v2.EntitlementService/CheckEntitlement", b"", {}, StatusCode.UNIMPLEMENTED),
    "no path": ("/x", b"", {}, StatusCode.UNIMPLEMENTED),
    "too large": (BATCH, bytes(Limits().message_bytes_max + 1), {}, StatusCode.RESOURCE_EXHAUSTED),
    "too large when it is read": (
        BATCH,
        bytes(Limits().message_bytes_max + 1),
        {"compression": Compression.Gzip},
        StatusCode.RESOURCE_EXHAUSTED,
    ),
    "too much metadata": (CHECK, b"", {"metadata": (("x", "v" * 40_000),)}, StatusCode.RESOURCE_EXHAUSTED),
    "no answer in time": (*ASKED[0], {"timeout": 0.05}, StatusCode.DEADLINE_EXCEEDED),
}


@pytest.mark.parametrize("case", REFUSED_BY_GRPC)
async def test_what_grpc_refuses_has_the_same_code(broken: tuple[Broken, Channels], case: str) -> None:
    """Its words are its own."""
    _, channels = broken
    method, raw, options, code = REFUSED_BY_GRPC[case]
    assert [answer.code for answer in await channels.ask(method, raw, **options)] == [code, code]


async def test_the_largest_message_passes_both(channels: Channels) -> None:
    """To the byte: one more is refused, above."""
    claim = Request(customer=EITHER, feature="max_seats").SerializeToString()
    room = Limits().message_bytes_max - len(claim) - 6
    filler = b"\x9a\x06" + bytes((room & 0x7F | 0x80, room >> 7 & 0x7F | 0x80, room >> 14 & 0x7F | 0x80, room >> 21))
    raw = claim + filler + bytes(room)
    assert len(raw) == Limits().message_bytes_max
    assert (await channels.agree(CHECK, raw)).code is StatusCode.OK


async def test_health_is_told_alike(broken: tuple[Broken, Channels]) -> None:
    """Of each service, of the whole, and of all; of what is not there, and whatever is no question."""
    _, channels = broken
    for service in ("", SERVICE, "grpc.health.v1.Health"):
        raw = HealthCheckRequest(service=service).SerializeToString()
        assert (await channels.agree(f"{HEALTH}/Check", raw)).code is StatusCode.OK
    assert (await channels.agree(f"{HEALTH}/List", b"")).code is StatusCode.OK
    for service in ("nothing", "n" * 1000, "a\nb %41 é"):
        raw = HealthCheckRequest(service=service).SerializeToString()
        assert (await channels.agree(f"{HEALTH}/Check", raw)).code is StatusCode.NOT_FOUND
    for method, raw in product(("Check", "List"), (b"\xff", b"\x0a\x05abc")):
        answer = await channels.agree(f"{HEALTH}/{method}", raw)
        assert (answer.code, _reason(answer)) == (StatusCode.INVALID_ARGUMENT, errors.MalformedMessageError.reason)
