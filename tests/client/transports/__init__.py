"""The transports of the client beside the network."""
