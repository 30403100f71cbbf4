"""What people look at: the colour previews and one self-contained page per run."""

from dfd.report.page import write_report
from dfd.report.pictures import load_ahead

__all__ = ["load_ahead", "write_report"]
