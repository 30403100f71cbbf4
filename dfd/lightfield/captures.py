"""Every kind of capture from one light field, with the thin lens that takes exactly these pictures.

A picture is a weighted mean of the views, refocused (`LightField.refocus`): occlusion and texture are those of the views.
The lens has the power that focuses it, before a fixed sensor, so that all pictures share one pixel grid; its pupil is the
disk with the second moment of the weights.  Pictures are equally bright whatever the pupil, as with exposure times that make
up for it.  Each warns (UserWarning, one line) where points move by more than 1 px between neighbouring views: these show.
"""

from __future__ import annotations

import warnings

import numpy as np

from dfd.backend import array_module
from dfd.capture import AperturePair, DifferentialQuad, DualPixelPair, FocalStack, View
from dfd.lightfield.aperture import diameter, half_distance
from dfd.lightfield.ghosts import ghosts
from dfd.lightfield.maps import range_before_infinity
from dfd.noise import Noise, expose
from dfd.psf import IDEAL_KAPPA, Psf

ROUNDING = Noise(gain=1e7, read_noise=2e3)
"""What the views of a capture without noise state: 2e-4 of white, the rounding of 8-bit views in a mean of some 60."""

_NARROW = 2.75
"""Wide over narrow pupil of an aperture pair: f/4 and f/11."""


def focal_stack(lightfield, foci, *, pupil=None, noise=None, seed=0) -> FocalStack:
    """A metric FocalStack, one image per focus.

    foci    inverse distances of the planes in focus [dioptre], in any order
    pupil   diameter [view steps], default all views;   noise   Noise to expose with, None: none;   seed   of it
    Raises ValueError for a light field without camera or with a single view along an axis, or fewer than two foci.
    """
    foci = np.atleast_1d(np.asarray(foci, float))
    if foci.ndim != 1 or foci.size < 2 or not np.isfinite(foci).all():
        raise ValueError(f"foci ({foci.tolist()}) of a focal stack must be two or more finite inverse distances [dioptre]")
    camera, weights = lightfield.need_camera(), lightfield.weights(pupil)
    _warn(lightfield, foci)
    width = diameter(lightfield.u, lightfield.v, weights)
    views = [_view(camera.thin_lens(float(focus), width), Psf("disk"), noise, coordinate=True) for focus in foci]
    images = [lightfield.refocus(camera.disparity(float(focus)), weights) for focus in foci]
    return FocalStack(_exposed(images, noise, seed), views)


def aperture_pair(lightfield, focus, *, pupils=None, side=None, noise=None, seed=0) -> AperturePair:
    """A metric AperturePair, wide first.

    pupils   (wide, narrow) diameters [view steps], default all views and 1 / 2.75 of their width
    side     near | far: where the scene lies, from focus; default: from the known disparity, which must all lie there
    Raises ValueError as `focal_stack`, for pupils in another order, and for a scene on both sides while `side` is None.
    """
    camera = lightfield.need_camera()
    pupils = (lightfield.extent, lightfield.extent / _NARROW) if pupils is None else tuple(pupils)
    if len(pupils) != 2 or not pupils[0] > pupils[1]:
        raise ValueError(f"pupils {tuple(float(f'{pupil:.4g}') for pupil in pupils)} of an aperture pair must be two, the "
                         "wide one first")
    side = _side(lightfield, focus) if side is None else side
    images, views = [], []
    for pupil in pupils:
        weights = lightfield.weights(pupil)
        images.append(lightfield.refocus(camera.disparity(focus), weights))
        views.append(_view(camera.thin_lens(focus, diameter(lightfield.u, lightfield.v, weights)), Psf("disk"), noise))
    _warn(lightfield, [focus])
    return AperturePair(_exposed(images, noise, seed), views, side=side)


def dual_pixel(lightfield, focus, *, pupil=None, noise=None, seed=0) -> DualPixelPair:
    """A metric DualPixelPair: what ideal left and right halves of the pupil see; kappa is that of the views' cells.

    Raises ValueError as `focal_stack`.
    """
    camera = lightfield.need_camera()
    width = diameter(lightfield.u, lightfield.v, lightfield.weights(pupil))
    _warn(lightfield, [focus])
    halves = [lightfield.weights(pupil, half=half) for half in ("left", "right")]
    kappa = half_distance(lightfield.u, *halves) / width
    images = [lightfield.refocus(camera.disparity(focus), weights) for weights in halves]
    contrast = min(kappa / IDEAL_KAPPA, 1.0)
    lens = camera.thin_lens(focus, width)
    views = [_view(lens, Psf(model, contrast=contrast), noise) for model in ("half-left", "half-right")]
    return DualPixelPair(_exposed(images, noise, seed), views, kappa=kappa)


def quadruple(lightfield, focus, *, power_step, pupil_step=0.2, pupil=None, noise=None, seed=0) -> DifferentialQuad:
    """A metric DifferentialQuad about one focus [dioptre].

    power_step   the power of the lens is moved by plus and minus so much [dioptre], > 0
    pupil_step   its pupil by plus and minus so much [share of `pupil`], 0 < share < 1
    pupil        the pupil between [view steps]; default the largest whose greater neighbour the views still fill
    Raises ValueError as `focal_stack`, and for steps out of range.
    """
    if not 0 < power_step < np.inf:
        raise ValueError(f"power_step ({power_step:g} dioptre) must be positive")
    if not 0 < pupil_step < 1:
        raise ValueError(f"pupil_step ({pupil_step:g}) must lie between 0 and 1: a share of the pupil")
    camera = lightfield.need_camera()
    pupil = lightfield.extent / (1 + pupil_step) if pupil is None else pupil
    shots = [(focus - power_step, pupil), (focus + power_step, pupil),
             (focus, pupil * (1 - pupil_step)), (focus, pupil * (1 + pupil_step))]
    images, views = [], []
    for at, size in shots:
        weights = lightfield.weights(size)
        images.append(lightfield.refocus(camera.disparity(at), weights))
        views.append(_view(camera.thin_lens(at, diameter(lightfield.u, lightfield.v, weights)), Psf("disk"), noise))
    _warn(lightfield, [focus - power_step, focus + power_step])
    return DifferentialQuad(_exposed(images, noise, seed), views)


def _view(lens, psf, noise, coordinate=False):
    return View(lens, psf, ROUNDING if noise is None else noise, lens.focus if coordinate else None)


def _warn(lightfield, foci):
    """Of ghosts in pictures focused at `foci` [dioptre], in the name of who called the light field; silent where no
    disparity is known."""
    camera = lightfield.camera
    seen = range_before_infinity(lightfield.disparity, camera) if lightfield.knows_depth else None
    if seen is not None:
        text = ghosts(lightfield, lightfield.max_step([camera.disparity(float(focus)) for focus in foci], seen))
        if text:
            warnings.warn(text, stacklevel=4)


def _side(lightfield, focus):
    """near | far of a scene whose disparities all lie on one side of focus."""
    low, high = lightfield.disparity_range
    low, high = range_before_infinity(lightfield.disparity, lightfield.camera) or (low, high)
    zero = lightfield.camera.disparity(focus)
    if low < zero < high:
        raise ValueError(f"focus {focus:g} dioptre lies within the scene (disparity {zero:.3g} px between {low:.3g} and "
                         f"{high:.3g} px), and an aperture pair cannot tell the sides apart; focus before or behind it, or "
                         "give side")
    return "near" if low >= zero else "far"


def _exposed(images, noise, seed):
    """(K, H, W) float32 pictures with noise, each of its own; unknown pixels stay NaN."""
    xp = array_module(*images)
    images = xp.stack(images)
    if noise is None:
        return images
    if xp is not np:
        raise TypeError("noise is drawn on the CPU; move the light field to NumPy, or leave noise out")
    drawn = [expose(np.nan_to_num(image), noise, np.random.default_rng([seed, index])) for index, image in enumerate(images)]
    return np.where(np.isnan(images), np.float32(np.nan), np.stack(drawn))
