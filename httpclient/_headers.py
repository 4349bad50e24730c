"""Header fields: a case-insensitive mapping which may hold a name several times.

Rules of this file: a value and nothing else. Order and case are kept as given, because they are
what goes on the wire. Names are ASCII; text values become UTF-8. Whether a field is legal HTTP is
decided by the core before anything is sent.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias

from httpcore_core import LocalProtocolError

Text: TypeAlias = str | bytes
HeaderTypes: TypeAlias = (
    "Headers | Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[Text, Text]]"
)

_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))


def _encode(text: Text, encoding: str) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"header names and values are str or bytes, not {type(text).__name__}")
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as exc:
        problem = f"part of a header cannot be written as {encoding}"
        raise LocalProtocolError(problem, phase="request") from exc


def _key(name: Text) -> bytes:
    return _encode(name, "ascii").lower()


def _decode(value: bytes, encoding: str | None = None) -> str:
    try:
        return value.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return value.decode("iso-8859-1")  # any byte is a character there (RFC 9110, 5.5)


class Headers(MutableMapping[str, str]):
    """Made from a mapping or from pairs of `str` or `bytes`.

    ``headers[name]`` is all values of the name joined with a comma, as RFC 9110, section 5.3 has
    it; `get_list` returns them one by one, which only ``Set-Cookie`` needs. Setting a name
    replaces all of its fields, in the place of the first.

    `encoding` is that of values as text. Without one it is UTF-8, and for each value that is not
    UTF-8 it is ISO-8859-1.
    """

    __slots__ = ("_encoding", "_fields", "_names")

    def __init__(self, headers: HeaderTypes | None = None, encoding: str | None = None) -> None:
        self._names: frozenset[bytes] | None = None  # in lower case, once somebody has asked
        self._encoding = encoding
        self._fields: list[tuple[bytes, bytes]]
        if headers is None:
            self._fields = []
        elif isinstance(headers, Headers):
            self._fields = headers._fields.copy()
            self._names = headers._names
            self._encoding = encoding or headers._encoding
        else:
            pairs: Any = headers
            if type(headers) is not list and isinstance(headers, Mapping):
                pairs = headers.items()
            self._fields = [
                (k, v)
                if type(k) is bytes and type(v) is bytes
                else (_encode(k, "ascii"), _encode(v, encoding or "utf-8"))
                for k, v in pairs
            ]

    @property
    def encoding(self) -> str:
        """What values are decoded with: what was set, or the first of ASCII, UTF-8 and ISO-8859-1
        that all of them are legal in."""
        if self._encoding is not None:
            return self._encoding
        for encoding in ("ascii", "utf-8"):
            try:
                for _, value in self._fields:
                    value.decode(encoding)
            except UnicodeDecodeError:
                continue
            return encoding
        return "iso-8859-1"

    @encoding.setter
    def encoding(self, encoding: str | None) -> None:
        self._encoding = encoding

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """A list of the fields as they are on the wire."""
        return list(self._fields)

    def names(self) -> frozenset[bytes]:
        """The names there are, in lower case."""
        names = self._names
        if names is None:
            names = self._names = frozenset([name.lower() for name, _ in self._fields])
        return names

    def get_list(self, key: Text, split_commas: bool = False) -> list[str]:
        """The values of `key`, in their order; with `split_commas` the elements of lists."""
        name = _key(key)
        values = [
            _decode(value, self._encoding) for field, value in self._fields if field.lower() == name
        ]
        if split_commas:
            return [item.strip() for value in values for item in value.split(",")]
        return values

    def multi_items(self) -> list[tuple[str, str]]:
        """Lower-cased names with their values, one pair for each field."""
        encoding = self._encoding
        return [(_decode(name.lower()), _decode(value, encoding)) for name, value in self._fields]

    def update(self, headers: HeaderTypes | None = None, **others: str) -> None:  # type: ignore[override]
        """Put the fields of `headers` in the place of those of the same names."""
        given = Headers(headers, self._encoding)
        self._fields = self.merged(given.merged(others))._fields
        self._names = None

    def merged(self, headers: HeaderTypes | None) -> Headers:
        """A copy in which the fields of `headers` replace those of the same name."""
        if not headers:
            return Headers(self)
        other = Headers(headers, self._encoding)
        replaced = other.names()
        result = Headers(encoding=self._encoding)
        result._fields = [field for field in self._fields if field[0].lower() not in replaced]
        result._fields += other._fields
        return result

    def complete(self, first: tuple[bytes, bytes] | None, last: list[tuple[bytes, bytes]]) -> None:
        """Add fields, whose names there are none of yet, in front and at the end."""
        if first is not None:
            self._fields.insert(0, first)
        self._fields += last
        if first is not None or last:
            self._names = None

    def copy(self) -> Headers:
        return Headers(self)

    __copy__ = copy

    def items(self) -> ItemsView[str, str]:
        """Lower-cased names with all of their values, as `headers[name]` has them."""
        values: dict[str, list[str]] = {}
        for name, value in self.multi_items():
            values.setdefault(name, []).append(value)
        return {name: ", ".join(each) for name, each in values.items()}.items()

    def __getitem__(self, name: Text) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __setitem__(self, name: Text, value: Text) -> None:
        new = (_encode(name, "ascii"), _encode(value, self._encoding or "utf-8"))
        key = _key(name)
        places = [i for i, (field, _) in enumerate(self._fields) if field.lower() == key]
        for place in reversed(places[1:]):
            del self._fields[place]
        if places:
            self._fields[places[0]] = new
        else:
            self._fields.append(new)
            self._names = None

    def __delitem__(self, name: Text) -> None:
        key = _key(name)
        kept = [field for field in self._fields if field[0].lower() != key]
        if len(kept) == len(self._fields):
            raise KeyError(name)
        self._fields = kept
        self._names = None

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, (str, bytes)) or (isinstance(name, str) and not name.isascii()):
            return False
        return _key(name) in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.multi_items()))

    def __len__(self) -> int:
        return len(self.names())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Headers, Mapping, list)):
            return NotImplemented
        try:
            return sorted(self.multi_items()) == sorted(Headers(other).multi_items())
        except (LocalProtocolError, TypeError, ValueError):
            return False

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        shown = [
            (_decode(name), "[secure]" if name.lower() in _SECRET else _decode(value))
            for name, value in self._fields
        ]
        return f"Headers({shown!r})"
