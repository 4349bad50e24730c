"""The requests to real servers; their sync twins are made by tests/unasync.py."""
