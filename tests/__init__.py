"""Tests of the transport core and of the client; loopback only, no sleeping, no plugins."""
