"""Streambed: a reproducible testbed for streaming deep-learning inference."""

__version__ = "0.1.0"
