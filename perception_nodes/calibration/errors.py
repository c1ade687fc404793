"""The one exception of calibration that is missing or wrong."""


class CalibrationError(ValueError):
    """Which transform or rig entry is missing or wrong, and what to do. Never answered with an identity."""
