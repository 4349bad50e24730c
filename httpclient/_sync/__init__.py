"""The drivers. Those of _sync are made from those of _sync by tests/unasync.py."""
