"""The report on paper: A4 pages that the parts flow over, each plot above its caption."""

from __future__ import annotations

import io
import textwrap

from calibration.report.gates import failures
from calibration.report.numbers import HEAD, rows
from calibration.report.profile_data import ProfileData
from calibration.report.sections import WIDTH, Part, parts
from calibration.report.summary import headline, key_figures, subtitle, title, warnings
from dfd.report.pictures import INK, encode, new_figure

_PAGE = (827, 1169)  # A4 at 100 px per inch
_LEFT, _TOP, _BOTTOM, _ACROSS = 0.08, 0.955, 0.05, 0.84
_SOFT, _GOOD, _BAD = "#5b6673", "#1f7a52", "#9a4d0e"
_LETTERS = 960
"""Letters of one point that a line holds."""

_BULLET = "\N{BULLET}"
_ROW = 0.021
_DENSITY = 4


class _Flow:
    """Pages that fill from the top; a new one begins where something does not fit."""

    def __init__(self):
        self.pages, self.top = [new_figure(*_PAGE)], _TOP

    @property
    def page(self):
        """The page that is being filled."""
        return self.pages[-1]

    def room(self, height):
        """Begin a new page unless `height` is left on this one."""
        if self.top - height < _BOTTOM:
            self.pages.append(new_figure(*_PAGE))
            self.top = _TOP

    def write(self, line, size, colour, *, weight="normal", after=0.006):
        """One paragraph."""
        for row in textwrap.wrap(line, int(_LETTERS / size)) or [""]:
            self.room(size * 0.0016)
            self.top -= size * 0.0016
            self.page.text(_LEFT, self.top, row, fontsize=size, color=colour, weight=weight)
        self.top -= after

    def draw(self, plot, heading=None):
        """A plot and its caption; the heading goes where the plot goes."""
        from matplotlib.image import imread

        height = _ACROSS * _PAGE[0] * plot.height / _PAGE[1]
        self.room(height + 0.05 + (0.05 if heading else 0))
        if heading:
            self.write(heading, 15, INK, weight="bold", after=0.012)
        own = new_figure(WIDTH, round(WIDTH * plot.height))
        plot.draw(own)
        axes = self.page.add_axes((_LEFT, self.top - height, _ACROSS, height))
        axes.imshow(imread(io.BytesIO(encode(own, density=_DENSITY))), aspect="auto")
        axes.axis("off")
        self.top -= height + 0.004
        self.write(f"{plot.title} {plot.caption}", 9, _SOFT, after=0.022)

    def table(self, lines):
        """Rows of text, the first a head: the first column left, the others right."""
        for number, cells in enumerate(lines):
            self.room(_ROW)
            self.top -= _ROW
            for column, cell in enumerate(cells):
                place = _LEFT if column == 0 else _LEFT + _ACROSS * (column + 1.35) / (len(cells) + 0.35)
                self.page.text(place, self.top, cell, fontsize=9.5, color=INK if number else _SOFT,
                               ha="right" if column else "left")
        self.top -= 0.02


def write_pdf(report: ProfileData, path) -> None:
    """Write the report as a PDF.  Raises OSError."""
    from matplotlib.backends.backend_pdf import PdfPages

    flow = _Flow()
    _front(flow, report)
    for part in parts(report):
        _part(flow, part)
    numbers = rows(report)
    if numbers:
        flow.room(0.05 + _ROW * min(len(numbers) + 1, 12))
        flow.write("Every number", 15, INK, weight="bold", after=0.006)
        flow.table([HEAD, *numbers])
    with PdfPages(path, metadata={"Title": title(report), "Creator": "dfd-calibrate report"}) as document:
        for page in flow.pages:
            document.savefig(page)


def _front(flow, report):
    """Grade, key figures, warnings."""
    word, meaning = headline(report)
    flow.write(subtitle(report), 8.5, _SOFT, after=0.012)
    flow.write(word, 20, _BAD if failures(report) else _GOOD, after=0.01)
    flow.write(meaning, 10.5, _SOFT, after=0.02)
    for value, name in key_figures(report):
        flow.top -= 0.026
        flow.page.text(_LEFT, flow.top, value, fontsize=12.5, color=INK, weight="bold")
        flow.page.text(0.42, flow.top, name, fontsize=10.5, color=_SOFT)
    flow.top -= 0.03
    told = warnings(report)
    if told:
        flow.write("Warnings", 13, _BAD, after=0.008)
        for line in told:
            flow.write(line, 10, INK)
        flow.top -= 0.02


def _part(flow, part: Part):
    for number, plot in enumerate(part.plots):
        flow.draw(plot, None if number else part.title)
    if not part.plots:
        flow.room(0.08)
        flow.write(part.title, 15, INK, weight="bold", after=0.008)
    if part.table:
        flow.room(_ROW * len(part.table) + 0.02)
        flow.table(part.table)
    summary, sentences = part.aside
    listed = [f"{_BULLET} {line}" for line in part.remarks]
    aside = [f"{summary}:", *(f"{_BULLET} {line}" for line in sentences)] if sentences else []
    for line in (part.note, *listed, *aside, *part.missing):
        if line:
            flow.write(line, 9.5, _SOFT, after=0.004)
    flow.top -= 0.02
