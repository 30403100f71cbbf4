"""What people look at: the colour previews and one self-contained page per run."""

from dfd.report.page import write_report

__all__ = ["write_report"]
