"""Reports: figures, one self-contained page, and comparisons of runs."""

from streambed.report.build import Report, build

__all__ = ["Report", "build"]
