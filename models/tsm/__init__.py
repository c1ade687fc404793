"""Temporal Shift Module: video networks that exchange channels between frames to use the past."""
