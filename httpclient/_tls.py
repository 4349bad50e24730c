"""Whom TLS trusts: from the options of a client to an `ssl.SSLContext`.

Rules of this file: the usual case makes nothing, so that the core makes its own context when it
first needs one. Paths are read when the client is made, so that a wrong one is an error there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl


def create_ssl_context(
    verify: Any = True, cert: Any = None, trust_env: bool = True, *, http2: bool = False
) -> ssl.SSLContext:
    """A context of the caller's own, to be altered and passed as `verify`. It trusts what a client
    with the same options does. With `http2` it offers HTTP/2 too; leave that out where the client
    has no `http2`. Raises `OSError` and `ssl.SSLError` for files that are not there, or are not
    what they should be, and `ConnectError` for such of the environment."""
    if not isinstance(verify, (bool, str, os.PathLike)):
        return _checked(verify, cert)
    return _new(verify, cert, trust_env, _protocols(True, http2), shared=False)


def make_context(
    verify: Any, cert: Any, trust_env: bool, http1: bool, http2: bool
) -> ssl.SSLContext | None:
    """None for what the core does by itself. Raises as `create_ssl_context` does."""
    if verify is True and cert is None and trust_env:
        return None
    if not isinstance(verify, (bool, str, os.PathLike)):
        return _checked(verify, cert)
    shared = verify is True and cert is None
    return _new(verify, cert, trust_env, _protocols(http1, http2), shared=shared)


def _protocols(http1: bool, http2: bool) -> tuple[str, ...]:
    return (("h2",) if http2 else ()) + (("http/1.1",) if http1 else ())


def _new(
    verify: Any, cert: Any, trust_env: bool, alpn: tuple[str, ...], *, shared: bool
) -> ssl.SSLContext:
    import ssl

    import httpcore_core

    if isinstance(verify, bool):
        context = httpcore_core.default_ssl_context(alpn, shared=shared, trust_env=trust_env)
    else:
        context = _trusting(verify)
        context.set_alpn_protocols(alpn)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        files = (cert,) if isinstance(cert, (str, os.PathLike)) else tuple(cert)
        context.load_cert_chain(*files)
    return context


def _checked(verify: Any, cert: Any) -> ssl.SSLContext:
    import ssl

    if not isinstance(verify, ssl.SSLContext):
        kind = type(verify).__name__
        raise TypeError(f"verify is a bool, a path or an ssl.SSLContext, not {kind}")
    if cert is not None:
        raise TypeError("load the client's certificate into the ssl.SSLContext, and drop `cert`")
    return verify


def _trusting(verify: Any) -> ssl.SSLContext:
    """The authorities of a file or a directory, and no others."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if os.path.isdir(verify):
        context.load_verify_locations(capath=verify)
    else:
        context.load_verify_locations(cafile=verify)
    return context
