"""The report as one HTML page or as a PDF: header with grade and gates, the parts, the table of every number."""

from __future__ import annotations

import os
from pathlib import Path

from calibration.report.gates import GRADES, failures, grade
from calibration.report.numbers import rows
from calibration.report.profile_data import ProfileData
from calibration.report.sections import Part, parts
from dfd.io.wording import camera_name
from dfd.report.markup import Html, bullets, folded, group, page, picture, section, table, text
from dfd.report.pictures import INK, encode, new_figure

SUFFIXES = (".html", ".pdf")

_WIDTH, _DENSITY = 620, 2
_PAGE = (827, 1169)  # A4 at 100 px per inch
_ROWS, _LINES = 44, 105
_HEAD = ("", "value", "1-sigma", "unit")


def write_report(profile_path, output) -> list[str]:
    """Write the report of the profile at `profile_path` to `output`, .html or .pdf; one sentence per gate that fails.

    Raises OSError for the files, ValueError for a profile that is none and another suffix.
    """
    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{output}: a report is a page or a document; name it {' or '.join('*' + end for end in SUFFIXES)}")
    report = ProfileData.load(profile_path)
    partial = output.with_name(output.name + ".part")
    try:
        if output.suffix.lower() == ".html":
            partial.write_text(_html(report), encoding="utf-8", errors="backslashreplace")
        else:
            _write_pdf(report, partial)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    return failures(report)


def _title(report):
    camera, lens = report.section("camera"), report.section("lens")
    named = camera_name(camera.get("make"), camera.get("model"), lens.get("model"))
    return f"{named or report.path.stem}: lens calibration"


def _headline(report):
    word, meaning = GRADES.get(grade(report), GRADES["C"])
    return f"Grade {grade(report)}, {word}", meaning


def _key_figures(report):
    """(value, what it is) of what one looks for first."""
    told, quality = report.section("validity"), report.section("quality")
    found = []
    if report.depths:
        found.append((f"{report.depths[0]:.3g} to {report.depths[1]:.3g} m", "valid depth, from the entrance pupil"))
    if told.get("f_numbers"):
        found.append((", ".join(f"f/{value:g}" for value in told["f_numbers"]), "apertures measured"))
    if quality.get("chi2_dof") is not None:
        found.append((f"{quality['chi2_dof']:.2f}", "chi2 of the focus law, at most 1.5"))
    if quality.get("loo_depth_rms_pct") is not None:
        found.append((f"{quality['loo_depth_rms_pct']:.2g} %", "depth error at distances left out, rms"))
    if quality.get("n_frames") is not None:
        found.append((f"{quality['n_frames']}", f"frames used, {quality.get('n_rejected') or 0} rejected"))
    return found


def _warnings(report):
    """Gates that fail, then what the calibration itself doubted."""
    return [*failures(report), *(report.section("quality").get("doubts") or [])]


def _subtitle(report):
    tool, created = report.section("tool"), str(report.profile.data.get("created_utc") or "")[:16].replace("T", " ")
    words = [_title(report), report.path.name, f"{created} UTC" if created else "",
             " ".join(str(tool[name]) for name in ("name", "version") if tool.get(name))]
    return " \N{MIDDLE DOT} ".join(word for word in words if word)


def _html(report):
    headline, meaning = _headline(report)
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for value, name in _key_figures(report))
    good = not failures(report)
    header = Html(f'<header class="{"metric" if good else "relative"}"><p class="eyebrow">{text(_subtitle(report))}</p>'
                  f'<h1>{text(headline)}</h1><p class="sub">{text(meaning)}</p>'
                  f'{f"""<div class="figures">{cells}</div>""" if cells else ""}</header>')
    return page(_title(report), header, section("Warnings", bullets(_warnings(report)), kind="warnings"),
                *(_html_part(part) for part in parts(report)),
                section("Every number", table(rows(report), head=_HEAD, kind="numbers") if rows(report) else None),
                section("Files", folded("Files that were measured, with their digests", _inputs(report))))


def _html_part(part: Part):
    drawn = []
    for plot in part.plots:
        figure = new_figure(_WIDTH, round(_WIDTH * plot.height))
        plot.draw(figure)
        drawn.append(picture(encode(figure, density=_DENSITY, ground="none"), plot.title, plot.caption, plot=True))
    shown = table(part.table[1:], head=part.table[0], kind="numbers") if part.table else None
    note = Html(f'<p class="hint">{text(part.note)}</p>') if part.note else None
    return section(part.title, group("pictures", *drawn) if drawn else None, shown, note,
                   *(Html(f'<p class="hint">{text(line)}</p>') for line in part.missing))


def _inputs(report):
    told = report.section("provenance").get("inputs") or []
    found = [(item.get("file"), item.get("role"), item.get("sha256")) for item in told]
    return table(found, head=("file", "role", "sha256"), kind="wide") if found else None


def _write_pdf(report, path):
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(path, metadata={"Title": _title(report), "Creator": "dfd-calibrate report"}) as document:
        document.savefig(_front(report))
        for part in parts(report):
            for figure in _pages(part):
                document.savefig(figure)
        numbers = rows(report)
        for start in range(0, len(numbers), _ROWS):
            document.savefig(_table_page("Every number", [_HEAD, *numbers[start:start + _ROWS]]))


def _front(report):
    """First page: grade, key figures, warnings, what is missing."""
    figure, (headline, meaning) = new_figure(*_PAGE), _headline(report)
    good = not failures(report)
    top = _write(figure, 0.95, [(_subtitle(report), 8.5, "#5b6673")])
    top = _write(figure, top - 0.005, [(headline, 20, "#1f7a52" if good else "#9a4d0e"), (meaning, 10.5, "#5b6673")])
    top -= 0.02
    for value, name in _key_figures(report):
        figure.text(0.08, top, value, fontsize=13, color=INK, weight="bold")
        figure.text(0.45, top, name, fontsize=10.5, color="#5b6673")
        top -= 0.028
    if _warnings(report):
        top = _write(figure, top - 0.02, [("Warnings", 13, "#9a4d0e"), *((line, 10, INK) for line in _warnings(report))])
    lacking = [line for part in parts(report) for line in part.missing]
    if lacking:
        _write(figure, top - 0.02, [("Not in this report", 13, INK), *((line, 10, "#5b6673") for line in lacking)])
    return figure


def _write(figure, top, lines):
    """Wrapped lines (text, size, colour) from `top` down; where the next one goes."""
    import textwrap

    for line, size, colour in lines:
        for row in textwrap.wrap(line, int(_LINES * 9.5 / size), break_long_words=True) or [""]:
            figure.text(0.08, top, row, fontsize=size, color=colour)
            top -= size * 0.00155
        top -= 0.004
    return top


def _pages(part: Part):
    """A4 pages with two plots each, the table below them where there is room."""
    queue = list(part.plots)
    while queue:
        figure = new_figure(*_PAGE)
        figure.text(0.08, 0.955, part.title, fontsize=15, color=INK, weight="bold")
        top, left = 0.93, _PAGE[0] * 0.86
        while queue and top - left * queue[0].height / _PAGE[1] - 0.06 > 0.04:
            plot = queue.pop(0)
            height = left * plot.height / _PAGE[1]
            _place(figure, plot, top, height)
            top = _write(figure, top - height - 0.018, [(f"{plot.title} {plot.caption}", 9, "#5b6673")]) - 0.02
        if not queue and part.table and top - 0.024 * len(part.table) > 0.04:
            _table(figure, part.table, top)
        yield figure


def _place(figure, plot, top, height):
    """A drawing `height` high below `top`, as a picture that keeps its own layout."""
    import io

    from matplotlib.image import imread

    own = new_figure(_WIDTH, round(_WIDTH * plot.height))
    plot.draw(own)
    axes = figure.add_axes((0.07, top - height, 0.86, height))
    axes.imshow(imread(io.BytesIO(encode(own, density=4))), aspect="auto")
    axes.axis("off")


def _table(figure, lines, top):
    """Rows of text, the first a head; the first column left, the others right."""
    for row, cells in enumerate(lines):
        for column, cell in enumerate(cells):
            place = 0.08 if column == 0 else 0.08 + 0.84 * (column + 1.35) / (len(cells) + 0.35)
            figure.text(place, top, cell, fontsize=9.5, color="#5b6673" if row == 0 else INK,
                        ha="left" if column == 0 else "right")
        top -= 0.021


def _table_page(title, lines):
    figure = new_figure(*_PAGE)
    figure.text(0.08, 0.955, title, fontsize=15, color=INK, weight="bold")
    _table(figure, lines, 0.92)
    return figure
