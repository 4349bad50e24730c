"""Tests of the client's drivers; their sync twins are made by tests/unasync.py."""
