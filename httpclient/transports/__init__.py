"""The transports: what carries a client's requests."""
