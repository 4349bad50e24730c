"""Requests to real servers, those that the system's packages bring; nobody's default settings."""
