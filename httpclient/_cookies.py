"""Cookies: what servers have set and what the user adds, as a mapping from name to value.

Rules of this file: without a cookie there is no jar, and the modules that know what to do with one
(`_cookie_jar`, `_cookie_rules`) are not imported. All that is done to the jar is done under one
lock. No value appears in a text.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from httpcore_core import LocalProtocolError

from ._exceptions import CookieConflict
from ._url_parsing import parse_host

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from ._request import Request
    from ._response import Response

CookieTypes: TypeAlias = (
    "Cookies | CookieJar | Mapping[str, str] | list[tuple[str, str]] | tuple[tuple[str, str], ...]"
)

# What would end the cookie or the header (RFC 6265bis, section 5.6), and what stands for no byte.
_find_illegal = re.compile(r"[\x00-\x08\x0a-\x1f\x7f;\ud800-\udc7f\udd00-\udfff]").search


class Cookies(MutableMapping[str, str]):
    """Cookies, by their names.

    Made from a mapping or from pairs of names and values, which will be sent to every host, or from
    other `Cookies`, which are copied. A `http.cookiejar.CookieJar`, such as one that loads and
    saves a file, is used as it is; its policy may refuse cookies, but not allow what RFC 6265bis
    forbids.

    Cookies of servers are kept and returned as RFC 6265bis has it. With the extra ``cookies`` all
    public suffixes, such as ``co.uk``, are known; without it, the most common.
    """

    def __init__(self, cookies: CookieTypes | None = None) -> None:
        self._lock = threading.RLock()
        self._jar: CookieJar | None = None
        if isinstance(cookies, Cookies):
            self.__setstate__(cookies.__getstate__())
        elif _is_jar(cookies):
            self._jar = cookies
        else:
            self.update(cookies)

    @property
    def jar(self) -> CookieJar:
        """The jar with all that is known of each cookie."""
        with self._lock:
            if self._jar is None:
                from ._cookie_jar import Jar

                self._jar = Jar()
            return self._jar

    def _all(self) -> list[Any]:
        with self._lock:
            return [] if self._jar is None else list(self._jar)

    def _find(self, name: str | None, domain: str | None, path: str | None) -> list[Any]:
        """Cookies with this name, domain and path, where not None. A domain without a dot stands
        also for the same with one, if there is nothing under itself."""
        found = [
            cookie
            for cookie in self._all()
            if (name is None or cookie.name == name) and (path is None or cookie.path == path)
        ]
        if domain is None:
            return found
        domain = domain.lower()
        exact = [cookie for cookie in found if cookie.domain == domain]
        return exact or [cookie for cookie in found if domain and cookie.domain == f".{domain}"]

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Set a cookie for `domain` and all below it, or for every host if that is empty.

        Raises `LocalProtocolError` for what a cookie cannot hold, and `InvalidURL` for a domain
        that is not one."""
        for what, text in (("name", name), ("value", value), ("path", path)):
            if not isinstance(text, str):
                raise TypeError(f"a cookie's {what} is a str, not {type(text).__name__}")
            if _find_illegal(text) or (what == "name" and "=" in text):
                problem = f"a cookie's {what} holds a character that has no place there"
                raise LocalProtocolError(problem, phase="request")
        if not path.startswith("/"):
            raise LocalProtocolError("a cookie's path begins with a slash", phase="request")
        from ._cookie_jar import make_cookie
        from ._cookie_rules import Scope

        scope = Scope(_domain(domain), not domain, path)
        with self._lock:
            self.jar.set_cookie(make_cookie(name, value, scope))

    def get(  # type: ignore[override]  # as HTTPX has it
        self,
        name: str,
        default: str | None = None,
        domain: str | None = None,
        path: str | None = None,
    ) -> str | None:
        """The value of a cookie. Raises `CookieConflict` if several are meant."""
        found = self._find(name, domain, path)
        if len(found) > 1:
            raise CookieConflict(f"there are {len(found)} cookies with the name {name!r}")
        return found[0].value or "" if found else default

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Remove all cookies with this name and, where given, this domain and path, if any."""
        self._remove(name, domain, path)

    def clear(self, domain: str | None = None, path: str | None = None) -> None:
        """Remove all cookies, or those with this domain and path, if any."""
        self._remove(None, domain, path)

    def _remove(self, name: str | None, domain: str | None, path: str | None) -> int:
        with self._lock:
            found = self._find(name, domain, path)
            if found:
                from ._cookie_jar import remove

                remove(self.jar, found)
            return len(found)

    def update(self, cookies: CookieTypes | None = None) -> None:  # type: ignore[override]
        """Add cookies; they replace those with the same name, domain and path."""
        if isinstance(cookies, Cookies):
            self._put(cookies._all())
        elif _is_jar(cookies):
            self._put(list(cookies))
        elif isinstance(cookies, (Mapping, list, tuple)):
            for name, value in cookies.items() if isinstance(cookies, Mapping) else cookies:
                self.set(name, value)
        elif cookies is not None:
            kind = type(cookies).__name__
            raise TypeError(f"cookies are Cookies, a CookieJar, a mapping or pairs, not {kind}")

    def _put(self, cookies: Iterable[Any]) -> None:
        for cookie in cookies:
            with self._lock:
                self.jar.set_cookie(cookie)

    def extract_cookies(self, response: Response) -> None:
        """Keep the cookies that a response sets and may set."""
        headers = [
            value
            for name, value in response.headers.raw
            if len(name) == 10 and name.lower() == b"set-cookie"
        ]
        if headers:
            from ._cookie_jar import store

            with self._lock:
                store(self.jar, response.url, headers, time.time())

    def set_cookie_header(self, request: Request, *, with_unscoped: bool = True) -> None:
        """Give a request that has no Cookie header one with all cookies that are for its URL.

        Without `with_unscoped` those that the user has set for every host are left out, as is right
        when a server's redirect, and not the user, has chosen the host."""
        if self._jar is None or "Cookie" in request.headers:
            return
        from ._cookie_jar import header_of, matching

        with self._lock:
            found = matching(self._jar, request.url, time.time(), with_unscoped=with_unscoped)
        if found:
            request.headers["Cookie"] = header_of(found)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        if not self._remove(name, None, None):
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(cookie.name == name for cookie in self._all())

    def __iter__(self) -> Iterator[str]:
        return iter([cookie.name for cookie in self._all()])

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return bool(self._all())

    def __repr__(self) -> str:
        shown = [f"{cookie.name} for {cookie.domain}{cookie.path}" for cookie in self._all()]
        return f"<Cookies {shown!r}>"

    def __getstate__(self) -> dict[str, Any]:
        """What is in the jar and its policy; a jar of another kind becomes one of ours."""
        policy = None if self._jar is None else getattr(self._jar, "_policy", None)
        return {"cookies": self._all(), "policy": policy}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = threading.RLock()
        self._jar = None
        if state["cookies"] or state["policy"] is not None:
            from ._cookie_jar import Jar

            self._jar = Jar(state["policy"])
            self._put(state["cookies"])


def _is_jar(value: Any) -> TypeGuard[CookieJar]:
    """Whoever has a jar has imported the library already."""
    library = sys.modules.get("http.cookiejar")
    return library is not None and isinstance(value, library.CookieJar)


def _domain(text: str) -> str:
    """As `URL.host` has it, with the dot in front if there was one."""
    if not text:
        return ""
    name = text.removeprefix(".")
    host = parse_host(f"[{name}]" if ":" in name and name[0] != "[" else name)
    return f".{host}" if text.startswith(".") else host
