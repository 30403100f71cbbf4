"""Where a sweep over inverse depth may look, and what it refuses: the range of a capture and its even grid of labels.

    coc = blur_rate * (inverse_depth - focus)        px, signed diameter; labels are even in dioptres
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dfd.capture import AperturePair, Capture, DifferentialQuad, DualPixelPair
from dfd.fieldpsf import FieldPsf
from dfd.measured import MeasuredPsf
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA

STEP_PX = 0.5
"""Distance of labels [px of coc of the view whose blur grows fastest]; the place between them is found afterwards."""

FIELD_STEP_PX = 2.0
"""The same where kernels were measured over the picture: their errors leave less to find between labels."""

MARGIN = 4
"""Labels beyond either end of the range, so that what lies there is not taken for its end."""

MOST_COC_PX = 48.0
"""Blur up to which a range that nobody gave reaches, where the foci do not tell it."""

MOST_USED_PX = 30.0
"""A view that is blurred more than this at a label shows nothing there that sharper ones do not show."""

LEAST_USED = 4
"""Views used at every label however blurred they are, the sharpest first."""

_LIMIT_PX = 160.0
_SAME_PX = 0.1
_SAME_KAPPA = 0.03
_SPAN_PX = 2.0
_AT_FOCUS_PX = 0.5


_COC_ITSELF = ThinLens(1.0, 1.0, 1.0, 1.0)
"""A lens whose inverse depths are coc in px: focus 0, blur rate 1."""


def lensed(capture: Capture) -> Capture:
    """The capture; an affine one whose kernels were measured with a lens of which inverse depth is coc [px]."""
    if capture.scale != "affine" or not all(_is_measured(view) for view in capture.views):
        return capture
    return replace(capture, views=[replace(view, lens=_COC_ITSELF) for view in capture.views])


def varies(capture: Capture) -> bool:
    """Whether the PSFs change over the picture."""
    return any(isinstance(view.psf, FieldPsf) for view in capture.views)


def check_optics(capture: Capture, limits) -> None:
    """Raises ValueError unless the optics of the views tell depth within the limits [(nearest, farthest) dioptre]."""
    if capture.scale != "metric" and capture is lensed(capture):
        raise ValueError(f"no optics or no kappa: this {capture.kind} has scale {capture.scale}, and a sweep over depth "
                         "needs focal length, f-number, pixel pitch and focus distance of every frame (and kappa of a "
                         "dual-pixel pair); add them to capture.toml")
    capture = lensed(capture)
    if varies(capture) and not isinstance(capture, DualPixelPair):
        raise ValueError(f"kernels that change over the picture serve a dual-pixel pair, not {capture.kind}; give its views "
                         "one MeasuredPsf, FieldPsf.at(y, x)")
    if isinstance(capture, DualPixelPair):
        _check_halves(capture)
    low, high = grid_range(capture, limits)
    ends = np.array([low, high])
    blur = np.array([np.abs(view.lens.coc(ends)) for view in capture.views])
    signed = np.array([view.lens.coc(ends) for view in capture.views])
    psfs = {id(view.psf) if _is_measured(view) else view.psf.model for view in capture.views}
    if len(psfs) == 1 and np.ptp(blur, axis=0).max() < _SAME_PX and np.ptp(signed, axis=0).max() < _SAME_PX:
        raise ValueError(f"all {len(capture)} images have the same optics (focus {capture.views[0].lens.focus:.4g} dioptre, "
                         f"blur rate {capture.views[0].lens.blur_rate:.4g} px/dioptre, within {_SAME_PX:g} px of blur): "
                         "depth shows in the difference of their blur; check focus_distance_m and f_number of each frame")
    least = np.sort([np.abs(view.lens.coc(np.linspace(low, high, 65))) for view in capture.views], axis=0)[1]
    if least.max() > _LIMIT_PX:
        worst = np.linspace(low, high, 65)[int(np.argmax(least))]
        raise ValueError(f"at {_metres(worst)} all images but one are blurred by {least.max():.0f} px or more, beyond the "
                         f"{_LIMIT_PX:g} px that can be compared; narrow the range with --near and --far, or use --preview")


def _check_halves(capture):
    """Refuse a dual-pixel pair whose halves are farther apart than half discs can be, and pixels that are not square."""
    if capture.kappa is not None and capture.kappa > IDEAL_KAPPA * (1 + _SAME_KAPPA):
        raise ValueError(f"kappa ({capture.kappa:.4g}) of this dual-pixel pair exceeds that of ideal half discs "
                         f"({IDEAL_KAPPA:.4g}), the farthest that a sweep models; check kappa, or use --solver disparity")
    if capture.y_scale != 1:
        raise ValueError(f"y_scale ({capture.y_scale:g}) of this dual-pixel pair: a sweep models square pixels (y_scale 1) "
                         "only; use --solver disparity")


def grid_range(capture: Capture, limits) -> tuple[float, float]:
    """(smallest, largest) inverse depth [dioptre] that is looked at.

    Without limits: between the foci where they differ, the declared side of an aperture pair, else MOST_COC_PX around
    the focus; never beyond infinity.  An open end of the limits (nearest inf, farthest 0) is that of the range without
    limits.  Raises ValueError for limits that hold nothing of what the capture can tell.
    """
    usual_low, usual_high = _default_range(capture)
    if limits is None:
        return usual_low, usual_high
    nearest, farthest = limits
    low, high, span = farthest, nearest, usual_high - usual_low
    if isinstance(capture, DifferentialQuad):
        _check_meets(capture, nearest, farthest)
    if isinstance(capture, AperturePair):
        _check_side(capture, nearest, farthest)
        low, high = max(low, usual_low), min(high, usual_high)
    if math.isinf(high):
        high = usual_high if usual_high > low else low + span
    if low <= 0:
        low = usual_low if usual_low < high else max(high - span, 0.0)
    if high <= low:
        raise ValueError(f"the range {_metres(nearest)} to {_metres(farthest)} holds nothing that this {capture.kind} can "
                         f"tell, {_metres(usual_high)} to {_metres(usual_low)}; check "
                         "--near and --far, both in metres")
    return low, high


def labels_of(capture: Capture, limits) -> np.ndarray:
    """Inverse depths [dioptre] of the sweep, even, ascending, MARGIN of them beyond either end of the range."""
    capture = lensed(capture)
    low, high = grid_range(capture, limits)
    step = (FIELD_STEP_PX if varies(capture) else STEP_PX) / max(view.lens.blur_rate for view in capture.views)
    count = max(4, math.ceil((high - low) / step))
    step = (high - low) / count
    return low + step * np.arange(-MARGIN, count + MARGIN + 1)


def used_views(capture: Capture, inverse_depth: float) -> list[int]:
    """Views that a label is judged by: those blurred up to MOST_USED_PX, and the LEAST_USED sharpest in any case."""
    blur = np.array([abs(view.lens.coc(inverse_depth)) for view in capture.views])
    order = np.argsort(blur, kind="stable")
    count = max(min(LEAST_USED, len(blur)), int(np.sum(blur <= MOST_USED_PX)))
    return sorted(int(index) for index in order[:count])


def largest_coc(capture: Capture, labels) -> float:
    """Largest blur [px] of a view that a label is judged by."""
    return max(max(abs(capture.views[index].lens.coc(float(label))) for index in used_views(capture, float(label)))
               for label in (labels[0], labels[len(labels) // 2], labels[-1]))


def _default_range(capture):
    if isinstance(capture, AperturePair):
        return _side_range(capture)
    foci = [view.lens.focus for view in capture.views]
    rate = max(view.lens.blur_rate for view in capture.views)
    if rate * (max(foci) - min(foci)) >= _SPAN_PX and capture.kind in ("focal-stack", "views"):
        return min(foci), max(foci)
    middle, most = (max(foci) + min(foci)) / 2, min(MOST_COC_PX, *(_kernels_reach(view) for view in capture.views))
    low = middle - most / rate
    return low if capture.scale == "affine" else max(low, 0.0), middle + most / rate


def _is_measured(view):
    return isinstance(view.psf, MeasuredPsf | FieldPsf)


def _kernels_reach(view):
    """|coc| [px] up to which the kernels of a view were measured, without the labels beyond the range."""
    if not _is_measured(view):
        return math.inf
    reach = view.psf.reach_px if isinstance(view.psf, FieldPsf) else min(-view.psf.cocs[0], view.psf.cocs[-1])
    return reach - (MARGIN + 1) * FIELD_STEP_PX


def _side_range(capture):
    lens = max((view.lens for view in capture.views), key=lambda lens: lens.blur_rate)
    near_focus, reach = _AT_FOCUS_PX / lens.blur_rate, MOST_COC_PX / lens.blur_rate
    if capture.side == "far":
        return max(lens.focus - reach, 0.0), lens.focus - near_focus
    return lens.focus + near_focus, lens.focus + reach


def _check_meets(capture, nearest, farthest):
    """Refuse limits of a quad where all images but one are blurred beyond use, or between which no blur changes."""
    rates = sorted(view.lens.blur_rate for view in capture.views)
    focus = float(np.mean([view.lens.focus for view in capture.views]))
    low, high = max(focus - MOST_COC_PX / rates[1], 0.0), focus + MOST_COC_PX / rates[1]
    within = min(nearest, high) - max(farthest, low)
    if within * rates[-1] >= STEP_PX:
        return
    why = "lies outside" if within <= 0 else f"has {within * rates[-1]:.2g} px of change of blur within"
    raise ValueError(f"the range {_metres(nearest)} to {_metres(farthest)} {why} what this {capture.kind} can tell, "
                     f"{_metres(high)} to {_metres(low)} (blur up to {MOST_COC_PX:g} px); are both in metres? check --near "
                     "and --far")


def _check_side(capture, nearest, farthest):
    """Refuse limits on both sides of the focus of an aperture pair; an open end is cut at the focus."""
    focus = capture.views[0].lens.focus
    if capture.side == "far" and focus < nearest < math.inf:
        raise ValueError(f"near ({_metres(nearest)}) lies before the focus ({_metres(focus)}), but side is far: two "
                         "apertures cannot tell one side from the other; give a range on one side, or another side")
    if capture.side == "near" and 0 < farthest < focus:
        raise ValueError(f"far ({_metres(farthest)}) lies beyond the focus ({_metres(focus)}), but side is near: two "
                         "apertures cannot tell one side from the other; give a range on one side, or another side")


def _metres(inverse_depth):
    if math.isinf(inverse_depth):
        return "0 m"
    return "infinity" if inverse_depth <= 0 else f"{1 / inverse_depth:.4g} m"
