"""What pickles and copies as it was made.

Rules of this file: a mixin that knows nothing of transports. Connections, locks and counts never
travel: whoever unpickles has a new object with the same arguments, as a worker of another process
needs it.
"""

from __future__ import annotations

from typing import Any, Self


class Configured:
    """Remembers the arguments that it was made of. Comes first among the base classes."""

    _made_of: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._made_of = args, kwargs
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), *self._made_of)


def _make(cls: type[Configured], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Configured:
    return cls(*args, **kwargs)
