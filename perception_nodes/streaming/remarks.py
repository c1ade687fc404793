"""What was said during a run, each sentence once with its count: bounded, however long the run."""

from __future__ import annotations

KINDS = 20  # different sentences that are kept; further ones are only counted


class Remarks:
    """Sentences in the order in which they were first said. Not thread-safe: its owner holds a lock."""

    def __init__(self, kinds: int = KINDS) -> None:
        self._kinds = kinds
        self._said: dict[str, int] = {}
        self._further = 0

    def note(self, sentence: str, by: int = 1) -> None:
        """Counts a sentence."""
        if sentence in self._said or len(self._said) < self._kinds:
            self._said[sentence] = self._said.get(sentence, 0) + by
        else:
            self._further += by

    def sentences(self) -> tuple[str, ...]:
        """Each sentence with how often it was said, where that was more than once."""
        rows = [text if n == 1 else f"{text} ({n} times)" for text, n in self._said.items()]
        return (*rows, f"and {self._further} more remarks") if self._further else tuple(rows)
