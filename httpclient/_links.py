"""Link header fields (RFC 8288, section 3).

Rules of this file: a pure function. What cannot be read is left out: a link is an offer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LINK = re.compile(
    r"""[\s,]*<([^<>]*)>((?:\s*;\s*[^\s=;,<>"]+(?:\s*=\s*(?:"(?:\\.|[^"\\])*"|[^\s;,"]*))?)*)"""
)
_PARAMETER = re.compile(r""";\s*([^\s=;,<>"]+)(?:\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;,"]*)))?""")


def parse_links(values: Iterable[str]) -> list[dict[str, str]]:
    """One mapping for each link: ``url``, and its parameters by their names in lower case, of
    which the first counts."""
    links = []
    for value in values:
        position = 0
        while match := _LINK.match(value, position):
            position = match.end()
            link = {"url": match[1]}
            for name, quoted, token in _PARAMETER.findall(match[2]):
                link.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or token)
            links.append(link)
    return links
