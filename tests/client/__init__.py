"""Tests of the client; those in _sync are made from those in _async by tests/unasync.py."""
