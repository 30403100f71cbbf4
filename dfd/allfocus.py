"""The all-in-focus picture of a prepared capture: pictures restored through their optics, or the frames of a stack fused."""

from __future__ import annotations

import numpy as np

from dfd.assemble import Prepared
from dfd.capture import DualPixelPair
from dfd.fuse import AllInFocus
from dfd.imaging import luminance
from dfd.io.frames import image_size
from dfd.restore import restore
from dfd.threads import in_order

_SMALL_PICTURE = 8e6
"""Pixels up to which the next picture is decoded while one is blended in."""

_DARKEST = 0.02
"""Share of the mean brightness that is added to both luminances before one is scaled to the other."""


def views_of(prepared: Prepared):
    """The optics that pictures are restored through: those of the middle, where kappa and focus change over the picture."""
    capture = prepared.capture
    return (capture.uniform() if isinstance(capture, DualPixelPair) else capture).views


def restored(prepared: Prepared, views, result, workers, progress):
    """All-in-focus image of a capture that is no stack, from all its pictures at once; there is no index of frames.

    views   as of `views_of`.  None where the optics are unknown, or pixels are not square: PSFs count square ones
    """
    if not prepared.source.pictured:
        return None, None
    pictures = prepared.pictures()
    return restore(pictures, views, result.values, workers=workers,
                   progress=None if progress is None else lambda *at: progress("all-in-focus", *at)), None


def coloured(prepared: Prepared, picture):
    """All-in-focus image of a capture whose solver gave a sharp grey one, in the colours of the mean of its pictures; there
    is no index of frames.

    Each pixel's colours, blurred as they are, are scaled to the sharp luminance; where that is unknown they stay.
    """
    colours = np.mean(prepared.pictures(), axis=0)
    grey = luminance(colours if colours.shape[2] == 3 else colours[..., 0])
    known = np.isfinite(grey) & np.isfinite(picture)
    factor, darkest = np.ones_like(grey), np.float32(max(_DARKEST * float(np.mean(grey[known])), 1e-9) if known.any() else 0)
    factor[known] = (np.maximum(picture[known], 0) + darkest) / (np.maximum(grey[known], 0) + darkest)
    return colours * factor[..., None], None


def fused(prepared: Prepared, coordinates, result, progress):
    """All-in-focus image and index map of a stack, frame by frame."""
    kept = prepared.kept
    if progress is not None:
        progress("all-in-focus", 0, len(kept))
    height, width = image_size(prepared.source.frames[0].path)
    fusion = AllInFocus(result.values, coordinates, matrices=prepared.matrices[list(kept)],
                        size=(height // prepared.reduction, width // prepared.reduction), around=prepared.around)
    ahead = 2 if height * width < _SMALL_PICTURE else 1
    for number, picture in enumerate(in_order(prepared.picture, kept, ahead)):
        fusion.add(number, picture, gain=prepared.gains[kept[number]])
        if progress is not None:
            progress("all-in-focus", number + 1, len(kept))
    image, index = fusion.result()
    return image, np.where(index < 0, np.int32(-1), np.asarray(kept, np.int32)[index])
