"""Prepare the frames of a capture: equal brightness, predicted breathing, residual alignment, one resampling each."""

from dfd.prepare.alignment import Alignment, align
from dfd.prepare.brightness import brightness_factors, coarse, residual_gains
from dfd.prepare.equalised import Optics
from dfd.prepare.evenness import view_ratio
from dfd.prepare.motions import at_centre, at_level
from dfd.prepare.order import order_jumps, order_note, scale_jumps
from dfd.prepare.pyramids import Pyramid, pyramid
from dfd.prepare.transforms import describe, from_json, power_warps, predicted_breathing
from dfd.prepare.views import align_views
from dfd.prepare.viewshift import shift_note, view_shift

__all__ = [
    "Alignment",
    "Optics",
    "Pyramid",
    "align",
    "align_views",
    "at_centre",
    "at_level",
    "brightness_factors",
    "coarse",
    "describe",
    "from_json",
    "order_jumps",
    "order_note",
    "power_warps",
    "predicted_breathing",
    "pyramid",
    "residual_gains",
    "scale_jumps",
    "shift_note",
    "view_ratio",
    "view_shift",
]
