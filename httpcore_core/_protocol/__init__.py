"""The protocols: every decision, and no socket, no clock, no lock, no runtime."""
