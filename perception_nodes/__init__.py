"""Everything between a sensor and a network."""

__version__ = "0.1.0"
