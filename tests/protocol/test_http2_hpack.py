"""HPACK (RFC 7541): ours and the library's read each other, and refuse the same blocks."""

from __future__ import annotations

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from httpcore_core._protocol.http2_hpack import FieldDecoder, FieldEncoder

LIMIT = 2000
Fields = list[tuple[bytes, bytes]]

names = st.sampled_from(
    b":method :path :scheme :authority accept user-agent x-id x-name cookie content-length".split()
) | st.binary(min_size=1, max_size=20)
values = st.sampled_from([b"GET", b"/", b"https", b"*/*", b"a" * 90]) | st.binary(max_size=200)
sections = st.lists(st.lists(st.tuples(names, values), max_size=8), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(sections=sections, sizes=st.lists(st.sampled_from([0, 100, 4096]), max_size=8))
def test_what_we_encode_the_library_decodes(sections: list[Fields], sizes: list[int]) -> None:
    ours, theirs = FieldEncoder(), Decoder()
    for number, fields in enumerate(sections):
        if number < len(sizes):
            ours.header_table_size = sizes[number]
        assert list(theirs.decode(ours.encode(fields), raw=True)) == fields
    assert theirs.header_table.dynamic_entries == ours.header_table.dynamic_entries


@settings(max_examples=300, deadline=None)
@given(sections=sections, sizes=st.lists(st.sampled_from([0, 100, 4096]), max_size=8))
def test_what_the_library_encodes_we_decode(sections: list[Fields], sizes: list[int]) -> None:
    theirs, ours = Encoder(), FieldDecoder(100_000)
    for number, fields in enumerate(sections):
        if number < len(sizes):
            theirs.header_table_size = sizes[number]
        block = theirs.encode(fields, huffman=number % 2 == 0)
        assert ours.decode(block) == fields
    assert ours._table.dynamic_entries == theirs.header_table.dynamic_entries


def verdict(decode: object, block: bytes) -> object:
    try:
        return list(decode(block))  # type: ignore[operator]
    except (HPACKError, IndexError):
        return "refused"


@settings(max_examples=2000, deadline=None)
@given(fields=st.lists(st.tuples(names, values), max_size=6), data=st.data())
def test_c08_of_mutated_blocks_we_think_the_same(fields: Fields, data: st.DataObject) -> None:
    theirs, ours = Decoder(LIMIT), FieldDecoder(LIMIT)
    encoder = Encoder()
    for _ in range(2):
        block = bytearray(encoder.encode(fields))
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(block)))
            block[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        expected = verdict(lambda block: theirs.decode(block, raw=True), bytes(block))
        assert verdict(ours.decode, bytes(block)) == expected
        if expected == "refused":
            return


@settings(max_examples=2000, deadline=None)
@given(block=st.binary(max_size=60))
@example(block=b"\x3f\xe1\x1f")
@example(block=b"\x3f\xe2\x1f")
@example(block=b"\xff" * 9)
@example(block=b"\x80")
@example(block=b"\xff\x80\x80\x80\x80\x80\x00")
def test_c08_of_arbitrary_blocks_we_think_the_same(block: bytes) -> None:
    theirs, ours = Decoder(LIMIT), FieldDecoder(LIMIT)
    expected = verdict(lambda block: theirs.decode(block, raw=True), block)
    assert verdict(ours.decode, block) == expected


def test_fields_that_vary_leave_the_table_alone() -> None:
    encoder = FieldEncoder()
    stable = [(b":method", b"GET"), (b":authority", b"example.com"), (b"accept", b"text/html")]
    encoder.encode([*stable, (b":path", b"/1")])
    entries = list(encoder.header_table.dynamic_entries)
    assert entries == [(b"accept", b"text/html"), (b":authority", b"example.com")]
    block = encoder.encode([*stable, (b":path", b"/2")])
    assert list(encoder.header_table.dynamic_entries) == entries
    assert len(block) == 3 + 4
    assert encoder.encode([*stable, (b":path", b"/2")]) == block


def test_i9_secrets_never_enter_the_table() -> None:
    """RFC 7541, section 7.1.3; not even where an equal field that is no secret has done so."""
    encoder, decoder = FieldEncoder(), Decoder()
    secret = NeverIndexedHeaderTuple(b"authorization", b"Basic c2VjcmV0")
    block = encoder.encode([secret])
    assert not encoder.header_table.dynamic_entries
    (field,) = decoder.decode(block, raw=True)
    assert type(field) is NeverIndexedHeaderTuple
    assert field == (b"authorization", b"Basic c2VjcmV0")
