"""What flats of a dual-pixel calibration cannot be, and what is doubtful in what they gave."""

from __future__ import annotations

import math

import numpy as np

from calibration.dual_pixel.field import turned
from dfd.psf import IDEAL_KAPPA

MOST_CHI2 = 2.0
"""chi2 per degree of freedom beyond which data contradict a model."""

_LEAST_KAPPA, _MOST_KAPPA = 0.005, 0.6
"""Median kappa of a picture beyond which a unit is wrong: real sensors have 0.06 to 0.23."""

_LEAST_SIGNIFICANCE = 3.0
_SAME_OPTICS = 1e-3
_MOST_FOCUS_ERROR = 0.1  # dioptre
_MOST_TURN = 2.0  # degrees
_NEXT_TO_NONE = 0.25
"""Disparity over that which the stated focus wants, below which a flat may be stopped down."""


def check_distances(distances):
    """Refuse distances that determine nothing."""
    if len(distances) < 2:
        raise ValueError(f"{len(distances)} distance: kappa and the plane of zero disparity are two unknowns, and one plane "
                         "fits every kappa with a focus of its own; add a flat at another distance, such as 1.5=FOLDER")
    near, far = min(distances), max(distances)
    if far < 1.05 * near:
        told = f"distances from {near:g} to {far:g} m are all the same to 5 %" if far > near else \
            f"the distances are all the same, {near:g} m"
        raise ValueError(f"{told}, and tell no slope; put one target before and one behind the focus")


def check_alike(flats):
    """Refuse flats of several cameras, sizes, apertures or foci."""
    first = flats[0]
    for flat in flats[1:]:
        for what, one, two in (("size [px]", first.size[::-1], flat.size[::-1]), ("axis", first.axis, flat.axis),
                               ("camera", first.settings.model, flat.settings.model)):
            if one != two:
                raise ValueError(f"{flat.folder}: {what} {two}, but {first.folder} has {one}; give the flats of one camera "
                                 "in one mode")
        for what, one, two, unit in (("blur rate", first.lens.blur_rate, flat.lens.blur_rate, "px/dioptre"),
                                     ("focus", first.lens.focus, flat.lens.focus, "dioptre")):
            if not math.isclose(one, two, rel_tol=_SAME_OPTICS, abs_tol=1e-9):
                raise ValueError(f"{flat.folder}: {what} {two:.4g} {unit}, but {first.folder} has {one:.4g} {unit}; take "
                                 "all flats with one focus and one aperture, or state them with --focus-distance, "
                                 "--f-number, --focal-length and --pixel-pitch")


def check_sign(flats, line):
    """The nearer target must have the larger disparity."""
    known = np.isfinite(line.rate) & (line.rate_sigma > 0)
    if not known.any():
        raise ValueError(f"{flats[0].folder} and {flats[-1].folder}: no tile has texture in both; photograph the same chart "
                         "so that it fills the picture at every distance")
    shares = line.rate[known] / line.rate_sigma[known]
    near, far = (_shown(flat) for flat in (flats[0], flats[-1]))
    told = f"{flats[0].folder}: disparity is {near:+.3f} px at {flats[0].distance:g} m and {far:+.3f} px at " \
           f"{flats[-1].distance:g} m"
    if np.median(shares) < -_LEAST_SIGNIFICANCE:
        raise ValueError(f"{told}, but what is nearer must lie further right in the left view; the views are exchanged "
                         "(names differ between exporters), or the distances: pass --swap, or correct them")
    if np.median(shares) < _LEAST_SIGNIFICANCE:
        raise ValueError(f"{told}, the same within their errors; were both taken with the lens wide open, at one focus, "
                         "and are the two views not the same picture?")


def check_kappa(flats, kappa):
    """Refuse a median kappa that no sensor has: a unit is wrong, and the optics that were used are named."""
    if _LEAST_KAPPA <= kappa <= _MOST_KAPPA:
        return
    lens, distances = flats[0].lens, ", ".join(f"{flat.distance:g}" for flat in flats)
    raise ValueError(f"{flats[0].folder}: kappa would be {kappa:.3g} ({_LEAST_KAPPA:g} to {_MOST_KAPPA:g} is possible, "
                     f"ideal half discs have {IDEAL_KAPPA:.3f}); distances {distances} m, focal "
                     f"length {lens.focal_length * 1e3:.4g} mm, f/{lens.f_number:.3g}, pixel pitch "
                     f"{lens.pixel_pitch * 1e6:.4g} um: is one in a wrong unit? distances are in metres, --focal-length in "
                     "mm, --pixel-pitch in um")


def doubts(field, unusable, outliers):
    """Sentences about a FieldCalibration.

    unusable   number of tiles without a kappa of their own;   outliers   (rows, columns) bool, tiles left out
    """
    flats, count = field.flats, field.usable.size
    yield from dict.fromkeys(text for flat in flats for text in flat.warnings if "kappa" not in text)
    if unusable:
        yield (f"{unusable} of {count} tiles have too little texture; the polynomial through the others stands there")
    for row, column in np.argwhere(outliers):
        yield (f"tile in row {row + 1}, column {column + 1} contradicts its neighbours and is left out; is something before "
               "the target there?")
    yield from _of_lines(field)
    for flat in flats:
        for angle, axis in turned(flat, field):
            if abs(angle) > _MOST_TURN:
                side = {"vertical": ("right", "left"), "horizontal": ("bottom", "top")}[axis][angle < 0]
                yield (f"{flat.folder}: the target seems turned by {abs(angle):.1f} degrees about the {axis} axis, nearer "
                       f"at the {side} (at most {_MOST_TURN:g} degrees is fine); face it with a mirror, unless the lens "
                       "is decentred")


def _of_lines(field):
    """Sentences where the lines through the distances do not fit: each other, or the stated focus."""
    lens, middle = field.flats[0].lens, float(np.median(field.focus.values))
    apart = field.chi2_dof is not None and field.chi2_dof > MOST_CHI2
    displaced = abs(middle - lens.focus) > _MOST_FOCUS_ERROR
    if apart:
        yield (f"the distances contradict each other (chi2 {field.chi2_dof:.1f} per degree of freedom, at most "
               f"{MOST_CHI2:g} is fine); the sigmas are widened; check distances, focus and that the target is flat")
    rate = float(np.median(field.kappa.values)) * lens.blur_rate
    wanted = [(flat, rate * (flat.inverse_depth - lens.focus)) for flat in field.flats]
    narrow = [(flat, want) for flat, want in wanted if abs(_shown(flat)) < _NEXT_TO_NONE * abs(want)]
    if apart or displaced:
        for flat, want in narrow:
            yield (f"{flat.folder}: disparity is {_shown(flat):+.3f} px, next to none, where the stated focus wants "
                   f"{want:+.2f} px; is this flat stopped down? take all flats with one aperture, or correct the focus")
    if displaced:
        origin = {"pupil": "entrance pupil", "sensor": "sensor mark"}[field.flats[0].origin]
        asked = "" if narrow else f"; do distances, that of focus too, count from the {origin}, in metres (--origin)?"
        yield (f"disparity is zero at {middle:.3f} dioptre, but the lens is focused at {lens.focus:.3f} dioptre (at most "
               f"{_MOST_FOCUS_ERROR:g} apart is usual){asked}")


def _shown(flat):
    return float(np.nanmedian(flat.tiles.disparity))
