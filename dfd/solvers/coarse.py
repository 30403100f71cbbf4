"""Where a sweep need not look: a sweep of the images at half their size, an eighth of the work, tells which labels occur."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfd import imaging
from dfd.backend import array_module, to_numpy
from dfd.capture import Capture

LEAST_LABELS = 48
"""A sweep of fewer labels is done whole."""

_LEAST_PX = 96
_MARGIN_PX = 4.0
"""Labels so near [px of coc] to one that occurs are looked at."""

_LEAST_COUNT = 3
"""Pixels of half the size that a label needs to occur; a few stray ones are noise."""

_WORTH = 0.8
"""Share of the labels above which nothing is left out."""


def worthwhile(capture: Capture, labels) -> bool:
    """A coarse sweep may save more than it costs."""
    return len(labels) >= LEAST_LABELS and min(capture.shape) >= _LEAST_PX


def half_size(capture: Capture) -> Capture:
    """The capture with pixels twice as large: the same optics, less noise."""
    xp = array_module(capture.images)
    images = xp.stack([imaging.reduce(image, 2) for image in capture.images])
    return replace(capture, images=images, views=[_half_view(view) for view in capture.views])


def promising(labels, values, *, rate: float) -> np.ndarray:
    """The labels near a depth that occurs.

    labels   inverse depths [dioptre], even, ascending;   values   depths that a coarse sweep knows [dioptre], any shape
    rate     px of coc per dioptre
    All labels when nothing is known, or when few would be left out.
    """
    values = to_numpy(values)
    values = values[np.isfinite(values)]
    step = labels[1] - labels[0]
    counts = np.bincount(np.clip(np.rint((values - labels[0]) / step).astype(np.int64), 0, len(labels) - 1),
                         minlength=len(labels))
    near = int(np.ceil(_MARGIN_PX / (rate * step)))
    pairs = np.convolve(counts, np.ones(3, np.int64), mode="same")  # neighbours count for each other
    occurs = np.convolve(pairs >= _LEAST_COUNT, np.ones(2 * near + 1, np.int64), mode="same") > 0
    return labels[occurs] if 0 < occurs.mean() < _WORTH else labels


def _half_view(view):
    noise = view.noise
    share = noise.response((0.5, 0.5)) ** 2
    lens = replace(view.lens, pixel_pitch=2 * view.lens.pixel_pitch)
    return replace(view, lens=lens, psf=view.psf.reduced(2), noise=replace(noise.averaged(share), taps=(1.0,)))
