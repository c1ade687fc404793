"""The one exception that a decoder may raise."""


class MessageError(ValueError):
    """A message that cannot be read: the text says what was found and what was expected. Costs one frame, no more."""
