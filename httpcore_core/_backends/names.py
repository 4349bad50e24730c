"""Names and addresses, for backends that know neither sockets nor resolvers."""

from __future__ import annotations


def is_address(host: str) -> bool:
    """Whether `host` is an IP address, which is resolved by nobody."""
    import ipaddress  # late: who resolves names himself has no use for it

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
