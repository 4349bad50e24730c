"""Requests and responses under one roof."""

from __future__ import annotations

from ._request import Request
from ._response import Response

__all__ = ["Request", "Response"]
