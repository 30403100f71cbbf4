"""`dfd info` in words: what all files share is said once, then what differs, what other sources say, what is missing, and
what depth to expect."""

from __future__ import annotations

from dfd.assemble import outline
from dfd.cli.lensinfo import lens_lines
from dfd.io.describe import Overview, kappa_of
from dfd.io.record import VALUE_KEYS, quantity
from dfd.io.scale import ORDERS
from dfd.io.wording import CAMERA, camera_name, plain, spoken
from dfd.solvers import choose

_SCALES = {"metric": "metric depth, in metres", "stage": "metres along the rail, not a distance from the camera",
           "steps": "NOT metric", "affine": "NOT metric"}

_ORDERED_BY = {"focus": "focus distances order the frames, but their optics are not complete",
               "coordinate": "only focus_coordinate is known, and no lens profile says what it means",
               "file": "no focus distance is known"}
"""Why a stack is in steps, by what orders it."""


def overview_lines(overview: Overview) -> list[str]:
    """The lines of `dfd info` for one file or many; none where no file could be read."""
    files = overview.files
    if not files:
        return []
    names = [name for name in VALUE_KEYS if any(_has(name, item) for item in files)]
    shared = [name for name in names
              if len({(getattr(item.settings, name), _origin(name, item.settings)) for item in files}) == 1]
    own = [name for name in names if name not in shared]
    blocks = (_shared(files, shared, several=bool(own)), _encodings(files), _kappa(overview.source),
              lens_lines(overview.profile), _differing(files, own),
              _also(files), _missing(overview), _warnings(overview), _outlook(overview))
    return [_title(files), *(line for block in blocks if block for line in ("", *block))]


def columns(rows, indent="  ") -> list[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
            for row in rows]


def _title(files):
    cameras = dict.fromkeys(camera_name(item.settings.make, item.settings.model, item.settings.lens_model)
                            for item in files)
    sizes = dict.fromkeys(f"{item.shape[1]} x {item.shape[0]} px" for item in files)
    where = str(files[0].path) if len(files) == 1 else f"{files[0].path.parent}: {len(files)} files"
    return f"{where}, {' and '.join(sizes)}, {' and '.join(filter(None, cameras)) or 'camera unknown'}"


def _shared(files, names, *, several):
    if not names:
        return []
    first = files[0].settings
    rows = [(CAMERA[VALUE_KEYS[name]][0], _value(name, first), _source(name, first)) for name in names]
    head = [] if len(files) == 1 else [f"the same in all {len(files)} files" if several else f"all {len(files)} files"]
    return [*head, *columns(rows)]


def _encodings(files):
    """How pixel values are read, and who says so: a line, or one per way and its number of files."""
    found = [(item.encoding.linear, item.encoding.source) for item in files]
    return [f"pixel values read as {'linear light' if linear else 'sRGB, which is undone'} ({source})"
            f"{'' if len(set(found)) == 1 else f', in {found.count((linear, source))} of {len(files)} files'}"
            for linear, source in dict.fromkeys(found)]


def _kappa(source):
    """kappa of a dual-pixel pair with its source, and what it was measured at."""
    found = kappa_of(source)
    if found is None:
        return []
    value, measured = found
    spread = "" if value.sigma is None else f" +- {value.sigma:.2g}"
    if measured is None:
        return [f"kappa {value.value:.4g} ({value.source}), ideal half discs have 0.424"]
    at = [text for known, text in (
        (measured.f_number, "f/{:.3g}"), (measured.focus, "focus {:.4g} dioptre"), (measured.axis, "axis {}"),
    ) if known is not None for text in (text.format(known),)]
    if measured.distances is not None:
        at.append("targets at {:.4g} to {:.4g} m".format(*measured.distances))
    return [f"kappa {value.value:.4g}{spread} in the median, {measured.range[0]:.4g} to {measured.range[1]:.4g} over the "
            f"picture ({value.source})", *([f"  measured at {', '.join(at)}"] if at else [])]


def _differing(files, names):
    """A row per file; a source that is the same in every file stands in the heading."""
    if not names:
        return []
    sources = {name: {_source(name, item.settings) for item in files if _has(name, item)} for name in names}
    head = ("file", *(CAMERA[VALUE_KEYS[name]][0] for name in names))
    below = ("", *(next(iter(found)) if len(found) == 1 else "" for found in sources.values()))
    rows = [(item.path.name, *(_cell(name, item, alone=len(sources[name]) == 1) for name in names)) for item in files]
    return ["per file", *columns([head, *([below] if any(below) else []), *rows])]


def _cell(name, item, *, alone):
    if not _has(name, item):
        return "-"
    shown = _value(name, item.settings)
    return shown if alone else f"{shown} ({_source(name, item.settings)})"


def _also(files):
    """Values that lost against a better source and read differently: a line per value and source."""
    lines = []
    for name in VALUE_KEYS:
        found: dict[str, list[str]] = {}
        for item in files:
            for value in item.others.get(name, ()):
                shown = plain(spoken(VALUE_KEYS[name], value.value))
                if not _has(name, item) or shown != plain(spoken(VALUE_KEYS[name], getattr(item.settings, name).value)):
                    found.setdefault(value.source, []).append(shown)
        for source, values in found.items():
            span = values[0] if len(set(values)) == 1 else f"{values[0]} ... {values[-1]}"
            where = "" if len(values) == len(files) else f", in {len(values)} of {len(files)} files"
            lines.append(f"also: {CAMERA[VALUE_KEYS[name]][0]} {span} ({source}), not used{where}")
    return lines


def _missing(overview):
    return ["missing for metres, to be added to capture.toml", *(f"  {line}" for line in overview.missing)] \
        if overview.missing else []


def _warnings(overview):
    return [f"warning: {text}" for text in overview.warnings]


def _outlook(overview):
    if overview.trouble:
        return [f"dfd depth would stop: {overview.trouble}"]
    source = overview.source
    if source is None:
        return []
    try:
        choose(outline(source))
    except ValueError as error:
        return [f"dfd depth would stop: {error}"]
    words = _SCALES[source.result_scale]
    if source.result_scale in ("steps", "affine"):
        words = f"{words}: {quantity(source.scale, source.order)}"
    counted = f" {ORDERS[source.order]}" if source.kind == "focal-stack" else ""
    return [f"dfd depth would give {words}", f"  because {_reason(source)}",
            f"  {source.kind} of {len(source.frames)} frames{counted}, reference "
            f"{source.frames[source.reference].path.name}, lens profile {source.profile.name}"]


def _reason(source):
    if source.scale == "metric":
        return "the optics and the focus of every frame are known"
    if source.scale == "stage":
        return "rail positions are known, but not the optics"
    if source.result_scale != source.scale:
        return f"the depths at {len(source.known_depths)} places are known"
    if source.scale == "affine":
        return "the optics are not known" if not any("kappa" in line for line in source.missing) else "kappa is not known"
    return _ORDERED_BY[source.order]


def _has(name, item):
    return getattr(item.settings, name) is not None


def _value(name, settings):
    value = getattr(settings, name)
    return plain(spoken(VALUE_KEYS[name], value.value, value.sigma))


def _source(name, settings):
    return getattr(settings, name).source + _origin(name, settings)


def _origin(name, settings):
    return f", from the {settings.distance_from}" if name in ("focus_distance", "focus") else ""
