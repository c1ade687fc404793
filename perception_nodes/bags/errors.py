"""The one exception of a bag that cannot be read or written."""


class BagError(RuntimeError):
    """One clear sentence: which bag, what is wrong with it, what to do."""
