"""Outbound HTTP: one stack, written once. `client.py` assembles it; every layer is a file of its own."""
