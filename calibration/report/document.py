"""The report as a file: one HTML page, header with grade and gates, the parts, the table of every number; or a PDF."""

from __future__ import annotations

import os
from pathlib import Path

from calibration.report.gates import failures
from calibration.report.numbers import HEAD, rows
from calibration.report.paper import write_pdf
from calibration.report.profile_data import ProfileData
from calibration.report.sections import DENSITY, WIDTH, Part, parts
from calibration.report.summary import headline, key_figures, subtitle, title, warnings
from dfd.report.markup import Html, bullets, folded, group, page, picture, section, table, text
from dfd.report.pictures import encode, new_figure

SUFFIXES = (".html", ".pdf")


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
            write_pdf(report, partial)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    return failures(report)


def _html(report):
    word, meaning = headline(report)
    cells = "".join(f"<div><b>{text(value)}</b><span>{text(name)}</span></div>" for value, name in key_figures(report))
    good = not failures(report)
    header = Html(f'<header class="{"metric" if good else "relative"}"><p class="eyebrow">{text(subtitle(report))}</p>'
                  f'<h1>{text(word)}</h1><p class="sub">{text(meaning)}</p>'
                  f'{f"""<div class="figures">{cells}</div>""" if cells else ""}</header>')
    return page(title(report), header, section("Warnings", bullets(warnings(report)), kind="warnings"),
                *(_html_part(part) for part in parts(report)),
                section("Every number", table(rows(report), head=HEAD, kind="numbers") if rows(report) else None),
                section("Files", folded("Files that were measured, with their digests", _inputs(report))))


def _html_part(part: Part):
    drawn = []
    for plot in part.plots:
        figure = new_figure(WIDTH, round(WIDTH * plot.height))
        plot.draw(figure)
        drawn.append(picture(encode(figure, density=DENSITY, ground="none"), plot.title, plot.caption, plot=True))
    shown = table(part.table[1:], head=part.table[0], kind="numbers") if part.table else None
    note = Html(f'<p class="hint">{text(part.note)}</p>') if part.note else None
    summary, sentences = part.aside
    behind = [bullets(part.remarks), folded(summary, bullets(sentences)),
              *(Html(f'<p class="hint">{text(line)}</p>') for line in part.missing)]
    if len(drawn) == 1 and (shown or note):  # beside each other, so that one plot does not fill the page
        return section(part.title, group("columns", *drawn, Html(text(shown) + text(note))), *behind)
    return section(part.title, group("pictures", *drawn) if drawn else None, shown, note, *behind)


def _inputs(report):
    told = report.section("provenance").get("inputs") or []
    found = [(item.get("file"), item.get("role"), item.get("sha256")) for item in told]
    return table(found, head=("file", "role", "sha256"), kind="wide") if found else None


