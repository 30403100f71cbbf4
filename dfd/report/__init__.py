"""What people look at: the colour previews and one self-contained page per run."""

from dfd.report.page import write_report
from dfd.report.pictures import load_ahead
from dfd.report.sequence import write_sequence_report

__all__ = ["load_ahead", "write_report", "write_sequence_report"]
