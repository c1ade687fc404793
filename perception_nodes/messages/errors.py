"""The one exception that a decoder may raise."""


class MessageError(ValueError):
    """An unreadable message: the text says what was found and what was expected. Only this message is dropped."""
