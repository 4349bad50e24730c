"""Query parameters: an immutable mapping which may hold a name several times.

Rules of this file: a value and nothing else. Text becomes a query as HTML forms do it
(``application/x-www-form-urlencoded``), but for the space, which is ``%20`` in a URL: a plus sign
is a space only to those who expect a form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

from ._exceptions import InvalidURL

PrimitiveData: TypeAlias = str | int | float | bool | None
QueryParamTypes: TypeAlias = (
    "QueryParams | Mapping[str, PrimitiveData | Sequence[PrimitiveData]]"
    " | Iterable[tuple[str, PrimitiveData]] | str | bytes"
)


def text_of(value: Any) -> str:
    """What a value is in a query or a form: JSON's words for truth, nothing for None; else its
    `str`, if its class says what that is (as a date or a UUID does, but no list or mapping)."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return ""
    kind: Any = type(value)
    has_text = isinstance(value, (int, float)) or kind.__str__ is not object.__str__
    if not has_text or isinstance(value, (bytes, bytearray)):
        raise TypeError(f"a value is text, a number, a bool or None, not {kind.__name__}")
    return str(value)


def _pairs(params: Any) -> list[tuple[str, str]]:
    if params is None:
        return []
    if isinstance(params, QueryParams):
        return list(params._pairs)
    if isinstance(params, bytes):
        try:
            params = params.decode("ascii")
        except UnicodeDecodeError as exc:
            raise InvalidURL("a query is ASCII, where it is given as bytes") from exc
    if isinstance(params, str):
        return parse_qsl(params, keep_blank_values=True)
    pairs = []
    for key, value in params.items() if isinstance(params, Mapping) else params:
        values = value if isinstance(value, (list, tuple)) else (value,)
        pairs += [(str(key), text_of(item)) for item in values]
    return pairs


class QueryParams(Mapping[str, str]):
    """Made from a query, a mapping (whose values may be lists), or pairs.

    ``params[name]`` is the first value of the name, `get_list` are all. `set`, `add`, `remove` and
    `merge` return a changed copy.
    """

    __slots__ = ("_pairs",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > 1 or (args and kwargs):
            raise TypeError("QueryParams takes one argument, or keywords")
        self._pairs = tuple(_pairs(args[0] if args else kwargs))

    def get_list(self, key: str) -> list[str]:
        """All values of `key`, in their order."""
        return [value for name, value in self._pairs if name == key]

    def multi_items(self) -> list[tuple[str, str]]:
        return list(self._pairs)

    def set(self, key: str, value: PrimitiveData = None) -> QueryParams:
        """With one value of `key`, in the place of the first there was."""
        return self.merge({key: value})

    def add(self, key: str, value: PrimitiveData = None) -> QueryParams:
        return QueryParams([*self._pairs, (key, value)])

    def remove(self, key: str) -> QueryParams:
        return QueryParams([pair for pair in self._pairs if pair[0] != key])

    def merge(self, params: QueryParamTypes | None = None) -> QueryParams:
        """With the values of `params` in the place of those of the same name."""
        new = _pairs(params)
        replaced = {name for name, _ in new}
        merged: list[tuple[str, str]] = []
        for pair in self._pairs:
            if pair[0] not in replaced:
                merged.append(pair)
            else:  # all of them where the first was
                merged += [other for other in new if other[0] == pair[0]]
                new = [other for other in new if other[0] != pair[0]]
        return QueryParams([*merged, *new])

    def __getitem__(self, key: str) -> str:
        for name, value in self._pairs:
            if name == key:
                return value
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def __bool__(self) -> bool:
        return bool(self._pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (QueryParams, Mapping, str)):
            return NotImplemented
        try:
            return sorted(self._pairs) == sorted(_pairs(other))
        except (TypeError, ValueError):
            return False

    def __str__(self) -> str:
        return urlencode(self._pairs, quote_via=quote, safe="*")

    def __repr__(self) -> str:
        return f"QueryParams({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return QueryParams, (self._pairs,)
