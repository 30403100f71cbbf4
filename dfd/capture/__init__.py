"""A capture: K registered linear images of one scene and the optics of each; four kinds check their own story."""

from dfd.capture.base import SCALES, Capture, View
from dfd.capture.dualpixel import AXES, DualPixelPair, mixed
from dfd.capture.kinds import AperturePair, DifferentialQuad, FocalStack

CAPTURES = {cls.kind: cls for cls in (FocalStack, AperturePair, DualPixelPair, DifferentialQuad, Capture)}
"""Capture class of every kind that capture.toml may name."""

__all__ = ["AXES", "AperturePair", "CAPTURES", "Capture", "DifferentialQuad", "DualPixelPair", "FocalStack", "SCALES",
           "View", "mixed"]
