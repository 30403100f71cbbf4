"""What the terminal shows: tables, and the summary of a run."""

from __future__ import annotations

import json

import numpy as np

from dfd.console import say
from dfd.io.record import UNITS, VALUE_KEYS, quantity, statistics, strict
from dfd.io.results import ORIGINS
from dfd.io.wording import metre_unit, plain

MOST_WARNINGS = 6
"""Lines of warnings after a run; the rest are in the report."""


def scale_first(source, *, origin: str = "pupil") -> None:
    """Before the minutes of work: what the result will be."""
    if source.scale != source.result_scale:
        say(f"metric depth: dual-pixel disparity through {len(source.known_depths)} known depths [m]")
        return
    if source.scale == "metric":
        say(f"metric depth: {quantity('metric', source.order)} from the {ORIGINS[origin]} [m]")
        return
    say(f"NOT metric (scale {source.scale}): {quantity(source.scale, source.order)} [{UNITS[source.scale]}]")


def summary(outcome, folder) -> None:
    """What would make it metric, what was found, what to know of it, where to look; `scale_first` has said what it is."""
    result, source = outcome.result, outcome.source
    _missing(source)
    measured = np.isfinite(result.values) & ~np.isnan(result.sigma)
    filled = float(result.valid.mean() - measured.mean())
    say(f"{float(measured.mean()):.1%} of {result.values.size} pixels known{f', {filled:.1%} filled' if filled else ''}"
        f"{_spread(outcome)}")
    if result.scale == "affine":
        say(f"values are {outcome.quantity}")
    texts = list(dict.fromkeys((*source.warnings, *outcome.warnings)))
    shown = texts if len(texts) <= MOST_WARNINGS else texts[:MOST_WARNINGS - 1]
    for text in shown:
        say(f"warning: {text}")
    if len(texts) > len(shown):
        say(f"warning: and {len(texts) - len(shown)} more in report.html")
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.timings.items())
    say(f"{outcome.solver} on {outcome.device}; {times}; in all {sum(outcome.timings.values()):.1f} s")
    say(f"look at {folder}/report.html")


def forecast_lines(expected, source, output) -> None:
    """`dfd depth --dry-run`: what the job would need."""
    from dfd.forecast import COMPILE_S
    from dfd.io.results import free_bytes
    from dfd.io.scratch import free_space, lies_in_memory

    _missing(source)
    height, width = expected.shape
    folder, free = free_space()
    room = free_bytes(output)
    say(f"{len(source.frames)} frames of {width} x {height} px, {expected.workers} at a time; tiles of {expected.tile} px")
    say(f"memory  about {expected.memory / 1e9:.1f} GB")
    say(f"disk    {expected.output / 1e9:.2f} GB of results, where {room / 1e9:.1f} GB are free; "
        f"{expected.disk / 1e9:.2f} GB meanwhile in {folder}, which has {free / 1e9:.1f} GB free")
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in expected.seconds.items() if seconds >= 0.5)
    say(f"time    roughly {sum(expected.seconds.values()):.0f} s ({stages}); once, the first time on a machine, about "
        f"{COMPILE_S} s more to compile")
    if room < expected.output:
        say("warning: the results may not fit; free some space, choose another -o DIR, or use --preview")
    if expected.disk and lies_in_memory(folder):
        say(f"warning: {folder} lies in memory, and what is there counts as memory above; set TMPDIR to a folder on a disk")
    for text in source.warnings:
        say(f"warning: {text}")


def _missing(source):
    """The lines that would make a result metric: only beside one, an error says itself what it lacks."""
    if source.missing:
        say("for metres, add to capture.toml:")
    for line in source.missing:
        say(f"  {line}")


def _spread(outcome):
    """The range of the numbers and their typical sigma, those of result.json; lengths in m, mm or um."""
    of_values, of_sigma = list(statistics(outcome).items())[4:6]
    if of_values[1] is None:
        return ""
    text = f", {_quantities((of_values[1]['p01'], of_values[1]['p99']), outcome)} (1st to 99th percentile)"
    return text if of_sigma[1] is None else \
        f"{text}, median sigma {_quantities((of_sigma[1]['median'],), outcome, digits=2)}"


def _quantities(numbers, outcome, digits=4):
    """Numbers of one unit, the one in which the largest reads well."""
    unit = UNITS[outcome.result.scale]
    size, name = metre_unit(max(map(abs, numbers))) if unit == "m" else (1.0, {"frame": "frames"}.get(unit, unit))
    return plain(f"{' to '.join(f'{number / size:.{digits}g}' for number in numbers)} {name}")


def describe_table(overview, *, as_json: bool) -> None:
    """`dfd info`: what is known, with sigma and source, what is missing, and what to expect; JSON: every file whole,

    "values" as they are used, "candidates" of every source, the one used first, "kappa" of the dual-pixel pair or null;
    {"file", "error"} for a damaged file.
    """
    from dfd.cli.overview import overview_lines
    from dfd.io.describe import kappa_of

    kappa = _kappa(kappa_of(overview.source))
    whole = [*(_description(item) | {"kappa": kappa} for item in overview.files),
             *({"file": str(path), "error": text} for path, text in overview.bad)]
    for line in [_json(whole)] if as_json else overview_lines(overview):
        say(line)


def _description(item):
    settings = item.settings
    used = settings.values()
    found = {name: [*filter(None, [used.get(name)]), *item.others.get(name, ())] for name in VALUE_KEYS}
    return {"file": str(item.path), "width_px": item.shape[1], "height_px": item.shape[0], "make": settings.make,
            "model": settings.model, "lens_model": settings.lens_model, "serial": settings.serial,
            "orientation_exif": item.orientation, "pixel_aspect": item.pixel_aspect, "distance_from": settings.distance_from,
            "linear": item.encoding.linear, "linear_from": item.encoding.source,
            "values": {VALUE_KEYS[name]: _value(value) for name, value in used.items()},
            "candidates": {VALUE_KEYS[name]: [*map(_value, values)] for name, values in found.items() if values},
            "missing": item.missing, "warnings": item.warnings}


def _kappa(found):
    if found is None:
        return None
    value, measured = found
    return _value(value) | ({} if measured is None else {
        "range": measured.range, "measured_at": {"f_number": measured.f_number, "focus_dpt": measured.focus,
                                                 "distances_m": measured.distances, "axis": measured.axis}})


def _value(value):
    return {"value": value.value, "sigma": value.sigma, "source": value.source}


def metrics_table(figures: dict, *, as_json: bool) -> None:
    """`dfd compare`: the headline first; the sparsification curve only as JSON."""
    from dfd.cli.figures import metric_lines

    for line in [_json(figures)] if as_json else metric_lines(figures):
        say(line)


def solvers_table(solvers, *, as_json: bool) -> None:
    """`dfd solvers`: name, kinds, one line, paper."""
    if as_json:
        say(_json([{"name": row.name, "kinds": row.kinds, "summary": row.summary, "paper": row.paper} for row in solvers]))
        return
    for row in solvers:
        say(f"{row.name}  ({', '.join(row.kinds)})")
        say(f"  {row.summary}")
        say(f"  {row.paper}")


def _json(content):
    return json.dumps(strict(content), indent=2, ensure_ascii=False, allow_nan=False)
