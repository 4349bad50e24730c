"""The drivers: they move bytes between a stream and a protocol object, and decide nothing.

They are written by hand in `_sync`; their twins in `_sync` are made by tests/unasync.py.
"""
