"""Gates: the checks that must hold before a result counts."""

from streambed.gates.reading import Reading, failed_reasons

__all__ = ["Reading", "failed_reasons"]
