"""Temporal Shift Module: video networks whose only notion of time is that channels move between frames."""
