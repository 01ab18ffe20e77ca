"""`report.html`: a comparison to look at, to listen to and to hand on, in one file."""

from zoo.compare.report.write import write_report

__all__ = ["write_report"]
