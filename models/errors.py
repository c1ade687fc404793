"""The error of models: what nodes and commands show as one sentence."""


class ModelError(ValueError):
    """A model that cannot be loaded; the message says what was found, what was expected and what to do."""
