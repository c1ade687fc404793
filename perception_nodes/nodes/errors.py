"""Errors that the command line shows as one sentence."""


class NodeError(RuntimeError):
    """A node that could not be started, or ended too early; the text says which and why."""
