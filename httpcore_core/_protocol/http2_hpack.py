"""Field blocks (HPACK, RFC 7541), on the tables and the integers of `hpack`.

Rules of this file: the wire format and the two tables, nothing about what a field means. It is
imported by `http2_engine` only. Errors are `hpack`'s, and an `IndexError` for a block that ends too
early; after any of them the table is not to be used again.

`hpack` itself does all of this, and is what the tests compare with. Its way through a field takes
longer than everything else that we do to a request, and writes fields to a log, secrets included.

*Decoding.* Servers send the same strings again and again, mostly without the dynamic table; so
what was decoded lately of the short ones is remembered.

*Encoding.* Of a field in one of the tables the bytes are remembered until the table changes. So
that it does not change with every request, fields whose values hardly ever repeat, as `:path`, are
left out of it, and sent as they are: coding them would take longer than sending them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hpack import Encoder
from hpack.exceptions import HPACKDecodingError, InvalidTableSizeError, OversizedHeaderListError
from hpack.hpack import decode_integer, encode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

MAX_REMEMBERED = 64
"""Bytes of a coded string. Longer ones repeat less."""

_INDEXED, _WITH_INDEXING, _SIZE_UPDATE, _NEVER_INDEXED = 0x80, 0x40, 0x20, 0x10  # section 6
_HUFFMAN = 0x80  # section 5.2

_VARYING = frozenset(
    b":path content-length if-match if-modified-since if-none-match if-range range traceparent"
    b" x-request-id".split()
)

_decode_short = lru_cache(maxsize=1024)(decode_huffman)


class FieldDecoder:
    """One connection's decoder. `max_list_size` bounds a section as RFC 9113 counts it."""

    __slots__ = ("_max_list_size", "_max_table_size", "_table")

    def __init__(self, max_list_size: int) -> None:
        self._max_list_size = max_list_size
        self._table = HeaderTable()
        self._max_table_size = self._table.maxsize

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        table = self._table
        fields: list[tuple[bytes, bytes]] = []
        left = self._max_list_size
        at, end = 0, len(block)
        while at < end:
            first = block[at]
            if first & _INDEXED:
                index, at = _integer(block, at, 7)
                field = table.get_by_index(index)
            elif first & _WITH_INDEXING or not first & _SIZE_UPDATE:
                adds = first & _WITH_INDEXING
                index, at = _integer(block, at, 6 if adds else 4)
                if index:
                    name = table.get_by_index(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                field = name, value
                if adds:
                    table.add(name, value)
            else:
                if fields:
                    raise HPACKDecodingError("Table size update not at the start of the block")
                size, at = _integer(block, at, 5)
                if size > self._max_table_size:
                    raise InvalidTableSizeError("Table size update above the limit")
                table.maxsize = size
                continue
            fields.append(field)
            left -= len(field[0]) + len(field[1]) + 32
            if left < 0:
                raise OversizedHeaderListError("The field section is too large")
        return fields


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Section 5.1: the value, and where it ends."""
    mask = (1 << bits) - 1
    value = block[at] & mask
    if value < mask:
        return value, at + 1
    value, used = decode_integer(block[at : at + 8], bits)
    return value, at + used


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """Section 5.2."""
    coded = block[at] & _HUFFMAN
    size, at = _integer(block, at, 7)
    end = at + size
    data = block[at:end]
    if len(data) != size:
        raise HPACKDecodingError("Truncated field block")
    if coded:
        data = _decode_short(data) if size <= MAX_REMEMBERED else decode_huffman(data)
    return data, end


class FieldEncoder(Encoder):
    """The encoder of an `h2` connection. Fields are plain tuples of bytes; those of any other type
    never enter a table."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[bytes, bytes], bytes] = {}  # fields that are in a table

    def encode(self, headers: Any, huffman: bool = True) -> bytes:
        parts = []
        if self.header_table.resized:
            parts.append(super().encode(()))  # says so
            self._known.clear()
        known = self._known
        for field in headers:
            part = known.get(field) if type(field) is tuple else None
            parts.append(self._encode_field(field) if part is None else part)
        return b"".join(parts)

    def _encode_field(self, field: tuple[bytes, bytes]) -> bytes:
        name, value = field
        table = self.header_table
        match = table.search(name, value)
        if match is not None and match[2] is not None:
            part = self._known[field] = _number(match[0], 7, _INDEXED)
            return part
        adds = type(field) is tuple and name not in _VARYING
        if adds:
            bits, flag = 6, _WITH_INDEXING
        else:
            bits, flag = 4, 0 if type(field) is tuple else _NEVER_INDEXED
        start = _number(match[0] if match else 0, bits, flag)
        if match is None:
            start += self._text(name, True)
        if adds:
            table.add(name, value)
            self._known.clear()
        return start + self._text(value, adds)

    def _text(self, data: bytes, is_coded: bool) -> bytes:
        if is_coded:
            data = self.huffman_coder.encode(data)
        return _number(len(data), 7, _HUFFMAN if is_coded else 0) + data


def _number(value: int, bits: int, flag: int) -> bytes:
    encoded = encode_integer(value, bits)
    encoded[0] |= flag
    return bytes(encoded)
