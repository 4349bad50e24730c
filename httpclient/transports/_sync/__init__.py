"""Wrappers around other transports. Those of _sync are made from those of _sync by
tests/unasync.py."""
