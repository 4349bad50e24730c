"""The drivers. Those of _sync are made from those of _async by tests/unasync.py."""
