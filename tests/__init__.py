"""Tests of the transport core and of the client; loopback only, no plugins. A package, so that its
modules can import each other, also after the sync conversion.

Names as P5, N1 or H3 in tests are those of contracts (pool, network, HTTP/1.1, client); A01 to H20
those of a catalogue of faults. Each test says in words what its contract demands.
"""
