"""What an evaluation raises."""


class EvaluationError(ValueError):
    """There is nothing to score, or it does not fit together; the message says what to do."""
