"""Wrappers around other transports. Those of _sync are made from those of _async by
tests/unasync.py."""
