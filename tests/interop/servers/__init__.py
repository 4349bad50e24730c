"""The real servers: one module each, with the configuration it is started with."""
