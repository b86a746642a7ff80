"""Header blocks mean what HPACK says they mean, however often they were seen before (RFC 7541)."""

from __future__ import annotations

import random
from contextlib import nullcontext

import hpack
import pytest
from hpack.table import HeaderTable
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.lane.blocks import Blocks
from gateway.lane.call import Method
from gateway.lane.fields import FieldReader, HeaderListTooLargeError
from gateway.lane.frames import COMPRESSION_ERROR, ConnectionFault
from gateway.lane.limits import HEADER_LIST_BYTES_MAX, KNOWN_BLOCK_BYTES_MAX, KNOWN_BLOCKS_MAX
from gateway.lane.opening import MalformedRequestError, opening_of
from tests.doors.lane.wire import fields_of

METHODS = {path: Method(lambda _: None, "caller") for path in (b"/test/Echo", b"/test/Hold")}


def literal(first: int, name: bytes, value: bytes) -> bytes:
    """Write a literal by hand; 0x40 enters the table, 0x00 does not, 0x10 never may."""
    return bytes((first, len(name))) + name + bytes((len(value),)) + value


NAMES = st.sampled_from([b"a", b"grpc-timeout", b"x-long-name-of-a-field", b":path", b"te"])
VALUES = st.binary(max_size=60)
BLOCKS = st.lists(
    st.lists(st.tuples(NAMES, VALUES, st.booleans(), st.booleans()), min_size=1, max_size=12), min_size=1, max_size=12
)


@given(BLOCKS, st.data())
def test_every_block_reads_as_the_library_reads_it(blocks: list[list[tuple]], data: st.DataObject) -> None:
    """Indexed and not, Huffman and not, with the table resized in between, over a whole connection."""
    encoder, decoder, reader = hpack.Encoder(), hpack.Decoder(), FieldReader()
    for fields in blocks:
        if data.draw(st.booleans()):
            encoder.header_table_size = data.draw(st.sampled_from([0, 60, 200, 4096]))
        sensitive = [(name, value, never) for name, value, never, _ in fields]
        block = encoder.encode(sensitive, huffman=fields[0][3])
        assert reader.read(block) == [tuple(field) for field in decoder.decode(block, raw=True)]
        assert list(reader._table.dynamic_entries) == list(decoder.header_table.dynamic_entries)


@given(st.binary(max_size=200))
def test_whatever_the_library_cannot_read_we_cannot_either(block: bytes) -> None:
    """Random bytes: the same fields, or an error on both sides and never another exception."""
    try:
        expected = [tuple(field) for field in hpack.Decoder(HEADER_LIST_BYTES_MAX).decode(block, raw=True)]
    except hpack.OversizedHeaderListError:
        expected = None
    except hpack.HPACKError:
        expected = COMPRESSION_ERROR
    try:
        found = FieldReader().read(block)
    except HeaderListTooLargeError:
        found = None
    except ConnectionFault as fault:
        found = fault.code
    assert found == expected


UNREADABLE = {
    "index 0": b"\x80",
    "an index beyond the table": b"\xbe",
    "a name beyond the table": b"\x7f\x00\x01a",
    "a number without end": b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "a number that is cut": b"\xff",
    "a number of six bytes, small as it is": b"\x3f\x80\x80\x80\x80\x80\x00",
    "a string that is cut": b"\x00\x03ab",
    "a length that is cut": b"\x00",
    "a value that is missing": b"\x00\x01a",
    "a table beyond the limit": b"\x3f\xe2\x1f",
    "a table size after a field": b"\x82\x20",
    "Huffman padding of zeros": b"\x00\x81\x00\x01a",
    "Huffman padding of 8 bits": b"\x00\x82\x1f\xff\x01a",
    "Huffman with the end of all strings": b"\x00\x84\xff\xff\xff\xff\x01a",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_a_compression_error(case: str) -> None:
    """There is no next block on such a connection."""
    with pytest.raises(ConnectionFault) as fault:
        FieldReader().read(UNREADABLE[case])
    assert fault.value.code == COMPRESSION_ERROR


def test_a_table_size_at_the_limit_is_taken_and_evicts() -> None:
    """4096 and 0 are sizes; at 0 nothing is left that a block could refer to."""
    reader = FieldReader()
    reader.read(b"\x3f\xe1\x1f" + literal(0x40, b"a", b"b"))
    assert reader.read(b"\xbe") == [(b"a", b"b")]
    reader.read(b"\x20\x3f\xe1\x1f")
    with pytest.raises(ConnectionFault):
        reader.read(b"\xbe")


def test_an_entry_larger_than_the_table_empties_it() -> None:
    """As the RFC says, and it is no error."""
    reader = FieldReader()
    reader.read(literal(0x40, b"a", b"b"))
    reader.read(b"\x3f\x11" + literal(0x40, b"a" * 40, b"b"))
    with pytest.raises(ConnectionFault):
        reader.read(b"\xbe")


def test_a_list_that_is_too_large_leaves_the_table_as_its_sender_believes_it_to_be() -> None:
    """What was left out of the list has entered the table all the same."""
    reader = FieldReader()
    big = b"v" * 100
    block = literal(0x40, b"first", big) + b"\xbe" * 300 + literal(0x40, b"last", b"seen")
    with pytest.raises(HeaderListTooLargeError):
        reader.read(block)
    assert reader.read(b"\xbe\xbf") == [(b"last", b"seen"), (b"first", big)]


REST = (
    literal(0, b":authority", b"t") + literal(0, b"te", b"trailers") + literal(0, b"content-type", b"application/grpc")
)
NEWEST_AS_PATH = b"\x83\x86\xbe" + REST
"""A request for whatever stands first in the table."""

CHANGES = {
    "an entry enters": b"\x83\x86\x44\x0a/test/Hold" + REST,
    "the table is emptied first": b"\x20\x3f\xe1\x1f\x83\x86\x44\x0a/test/Hold" + REST,
    "the request is malformed": b"\x44\x0a/test/Hold",
    "the request is too large": b"\x83\x86\x44\x0a/test/Hold" + literal(0, b"x", b"v" * 120) * 300,
}


@pytest.mark.parametrize("case", CHANGES)
def test_the_same_bytes_mean_another_thing_when_the_table_has_changed(case: str) -> None:
    """A block that is known is forgotten with the table that it was read by."""
    blocks = Blocks(METHODS)
    blocks.opening(b"\x83\x86\x44\x0a/test/Echo" + REST)
    assert blocks.opening(NEWEST_AS_PATH).method is METHODS[b"/test/Echo"]
    assert NEWEST_AS_PATH in blocks.known
    try:
        blocks.opening(CHANGES[case])
    except MalformedRequestError:
        assert case == "the request is malformed"
    assert NEWEST_AS_PATH not in blocks.known
    assert blocks.opening(NEWEST_AS_PATH).method is METHODS[b"/test/Hold"]


@pytest.mark.parametrize("taken", [True, False])
def test_trailers_change_the_table_too(taken: bool) -> None:
    """They are read by the same table, whether they are trailers or not."""
    wrong = [b"\x44\x0a/test/Hold", literal(0x40, b"x", b"v" * 120) * 300]
    for trailers in [literal(0x40, b"a", b"b")] if taken else wrong:
        blocks = Blocks(METHODS)
        blocks.opening(b"\x83\x86\x44\x0a/test/Echo" + REST)
        blocks.opening(NEWEST_AS_PATH)
        with nullcontext() if taken else pytest.raises(MalformedRequestError):
            blocks.trailers(trailers)
        assert not blocks.known


def test_a_size_that_evicts_is_a_change() -> None:
    """The table shrinks by a size alone, and what was known through it is forgotten."""
    blocks = Blocks(METHODS)
    blocks.opening(b"\x83\x86\x44\x0a/test/Echo" + REST)
    blocks.opening(NEWEST_AS_PATH)
    blocks.opening(b"\x20\x83\x86" + literal(0, b":path", b"/test/Hold") + REST)
    assert not blocks.known
    with pytest.raises(ConnectionFault):
        blocks.opening(NEWEST_AS_PATH)


def test_what_is_remembered_is_bounded() -> None:
    """In number and in size, whatever a peer sends; what is remembered is the very same opening."""
    blocks = Blocks(METHODS)
    for number in range(3 * KNOWN_BLOCKS_MAX):
        block = b"\x83\x86" + literal(0, b":path", b"/test/Echo") + REST + literal(0, b"n", b"%d" % number)
        assert blocks.opening(block) is blocks.known[block]
        assert len(blocks.known) <= KNOWN_BLOCKS_MAX
    long = b"\x83\x86" + literal(0, b":path", b"/test/Echo") + REST + literal(0, b"n", b"v" * 100) * 12
    blocks.opening(long)
    assert len(long) > KNOWN_BLOCK_BYTES_MAX
    assert long not in blocks.known


def test_what_is_remembered_but_for_its_timeout_is_bounded() -> None:
    """In number and in size as well, and with it nothing that is refused."""
    blocks = Blocks(METHODS)
    begun = b"\x83\x86" + literal(0, b":path", b"/test/Echo") + REST + literal(0, b"grpc-timeout", b"1S")
    for number in range(3 * KNOWN_BLOCKS_MAX):
        blocks.opening(begun + literal(0, b"n", b"%d" % number))
        assert 0 < len(blocks._alike) <= KNOWN_BLOCKS_MAX
    before = len(blocks._alike)
    blocks.opening(begun + literal(0, b"n", b"v" * 100) * 12)
    blocks.opening(begun.replace(b"Echo", b"None"))
    assert len(blocks._alike) == before


def test_a_whole_connection_reads_the_same_with_and_without_memory() -> None:
    """Ten thousand blocks of an encoder that indexes as it likes: what is looked up is what would have been read."""
    chance = random.Random(7)  # noqa: S311 - to repeat a failure
    encoder, blocks, decoder = hpack.Encoder(), Blocks(METHODS), hpack.Decoder()
    known = 0
    for _ in range(10_000):
        timeout = ("grpc-timeout", f"{chance.choice([1, 1, 1, chance.randrange(10**6)])}m")
        path = chance.choice(["/test/Echo", "/test/Hold", "/test/Nothing"])
        fields = [*fields_of(path), timeout]
        never = chance.random() < 0.5
        block = encoder.encode([(*field, never and field[0] == "grpc-timeout") for field in fields])
        known += block in blocks.known
        opening = blocks.known.get(block) or blocks.opening(block)
        told = dict(decoder.decode(block))
        assert opening.method is METHODS.get(told[":path"].encode())
        if opening.refusal is None:
            assert opening.timeout_s == pytest.approx(int(told["grpc-timeout"][:-1]) / 1000)
    assert known > 1000


TIMEOUTS = st.sampled_from(["1S", "20m", "x", "0n", ""])
KEYS = st.sampled_from(["Bearer one", "Bearer other"])


@given(st.lists(st.tuples(TIMEOUTS, st.integers(0, 6), KEYS), min_size=1, max_size=8))
@example([("1S", 4, "Bearer one"), ("20m", 4, "Bearer other")])
def test_a_timeout_that_changes_changes_nothing_else(calls: list[tuple[str, int, str]]) -> None:
    """Whatever was sent before it and wherever it stands: the opening is that of a connection's first block."""
    encoder, blocks = hpack.Encoder(), Blocks(METHODS)
    for timeout, at, key in calls:
        fields = fields_of("/test/Echo", ("authorization", key))
        fields.insert(at, ("grpc-timeout", timeout))
        raw = [(name.encode(), value.encode()) for name, value in fields]
        try:
            expected = opening_of(raw, METHODS)
        except MalformedRequestError:
            with pytest.raises(MalformedRequestError):
                blocks.opening(encoder.encode(fields))
            continue
        assert blocks.opening(encoder.encode(fields)) == expected


def test_the_librarys_table_is_as_large_as_we_say() -> None:
    """Our settings leave the size as it is."""
    assert HeaderTable.DEFAULT_SIZE == 4096
