"""Tests of the drivers, written for async; their twins in `_sync` are made by tests/unasync.py.

A test runs on asyncio, uvloop and trio here, and on blocking sockets there.
"""
