"""Prepare the frames of a capture: equal brightness, predicted breathing, residual alignment, one resampling each."""

from dfd.prepare.alignment import Alignment, align
from dfd.prepare.brightness import brightness_factors, residual_gains
from dfd.prepare.order import order_jumps, order_note
from dfd.prepare.pyramids import Pyramid, pyramid
from dfd.prepare.transforms import describe, from_json, predicted_breathing

__all__ = [
    "Alignment",
    "Pyramid",
    "align",
    "brightness_factors",
    "describe",
    "from_json",
    "order_jumps",
    "order_note",
    "predicted_breathing",
    "pyramid",
    "residual_gains",
]
