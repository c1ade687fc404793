"""Parity of our networks with recorded outputs of the reference implementations: `python -m tests.parity DIR`."""
