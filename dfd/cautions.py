"""What to be careful about in the frames of a capture: sentences for the user, and sweeps that show nothing refused."""

from __future__ import annotations

import math

import numpy as np

from dfd import prepare
from dfd.io.sources import Source

_LARGEST_GAIN = 1.2
"""A residual gain beyond this factor is worth a warning."""

_MOST_GAIN = 20.0
"""A residual gain of a quad beyond this factor is no light that changed, but another kind of image."""

_LEAST_SWEEP_PX, _LARGEST_STEP_PX = 1.0, 15.0
"""Change of blur over a whole stack below which nothing can be seen; between neighbours, beyond which peaks are missed."""

_DOUBTFUL = 0.01
"""Relative 1-sigma of a focus distance beyond which the result says that its sigma leaves it out."""

_SAME_STOP, _SAME_ASPECT = 0.1, 0.03
"""Natural logarithm of a ratio of f-numbers, or of shapes of pictures, beyond which kappa is that of another case."""

_MOST_UNEVEN = 5.0
"""Ratio of the mean light of two views of one sensor beyond which they are none; phones: up to 1.4 in places."""

SATURATED = 0.001
"""Share of the pixels of a quad's image, saturated, beyond which it is worth a warning."""

MOST_SATURATED = 0.05
"""Share of the pixels of a dual-pixel pair, unknown in either view, beyond which it is worth a warning."""

DISPLACED_PX = 0.1
"""A frame of a quad that lies off by more is worth a warning: 0.25 px cost up to 1.5 % of depth."""


def check_steps(source: Source, lenses) -> tuple[str, ...]:
    """Refuse a sweep whose blur nobody could see; a sentence when its frames are too far apart."""
    if source.kind != "focal-stack":
        return ()
    foci = np.sort([lens.focus for lens in lenses])
    rate = lenses[source.reference].blur_rate
    sweep = rate * (foci[-1] - foci[0])
    if sweep < _LEAST_SWEEP_PX:
        raise ValueError(f"{source.frames[0].path.parent}: the sweep, {foci[-1]:.4g} to {foci[0]:.4g} dioptre, changes "
                         f"the blur by {sweep:.2g} px, too little to see (at least {_LEAST_SWEEP_PX:g} px); are focus "
                         "distances in metres, focal_length_mm and pixel_pitch_um in their units?")
    step = rate * float(np.median(np.diff(foci)))
    if step <= _LARGEST_STEP_PX:
        return ()
    return (f"frames are {step:.0f} px of blur apart; beyond {_LARGEST_STEP_PX:g} px the sharpest place between them is "
            "guesswork; take more frames or a smaller aperture",)


def other_field(source: Source, lenses, shape) -> tuple[str, ...]:
    """Sentences where kappa of a dual-pixel pair comes from a profile that measured it at another aperture or on another
    part of the sensor."""
    if source.field is None or lenses is None:
        return ()
    stop, aspect = source.profile.dual_pixel_validity
    here, shown = lenses[source.reference].f_number, shape[1] / shape[0]
    found = []
    if stop is not None and abs(math.log(here / stop)) > _SAME_STOP:
        found.append(f"kappa of profile {source.profile.name} was measured at f/{stop:.3g}, this is f/{here:.3g}, and kappa "
                     "changes with the aperture; calibrate this one with dfd-calibrate dual-pixel")
    if aspect is not None and abs(math.log(shown / aspect)) > _SAME_ASPECT:
        found.append(f"kappa of profile {source.profile.name} was measured on pictures {aspect:.3g} times as wide as high, "
                     f"these are {shown:.3g}; they are cut, and kappa is that of another place; use uncut pictures")
    return tuple(found)


def focus_order(source: Source, small, matrices, kept, shape) -> tuple[str, ...]:
    """A sentence when the frames of a stack seem to stand out of focus order."""
    if source.kind != "focal-stack":
        return ()
    jumps = sorted({*prepare.order_jumps(small), *prepare.scale_jumps(matrices, shape)})
    return (prepare.order_note(jumps, [source.frames[k].path.name for k in kept]),) if jumps else ()


def unaligned(count: int, total: int) -> str:
    """The sentence where `count` of `total` frames could be aligned, too few to use them alone."""
    return (f"only {count} of {total} frames could be aligned, too few: weak texture, or pictures of different scenes; all "
            "are used where the optics predict them; look at the frames, or pass --align none if they are registered")


def check_gains(source: Source, gains) -> None:
    """Raises ValueError for a quad of which an image is far brighter or darker than its exposure says; NaN = not known."""
    for frame, gain in zip(source.frames, gains, strict=True):
        if source.kind == "differential-quad" and abs(math.log(gain)) > math.log(_MOST_GAIN):  # not so for NaN
            raise ValueError(f"{frame.path}: brightness differs by a factor of {1 / gain:.3g} from what is stated of the "
                             f"four images (at most {_MOST_GAIN:g}); is it the same scene and kind of file? check "
                             "exposure_s, iso and the levels in capture.toml")


def unstated_exposures(source: Source) -> tuple[str, ...]:
    """A sentence when some frames of a quad state an exposure and others do not, so that none is used."""
    lacking = [f"{frame.path.name} ({frame.role})" for frame in source.frames if frame.settings.exposure is None]
    if source.kind != "differential-quad" or len(lacking) in (0, len(source.frames)):
        return ()
    return (f"{', '.join(lacking)}: no exposure_s, which the other frames state; all four are taken as equally exposed, and "
            "brightness is matched by the images alone; add it to [[frames]] in capture.toml",)


def flicker(frames, gains, kept, *, names=None, stated=None, where="", each=False) -> tuple[str, ...]:
    """Sentences when frames were much brighter or darker than their exposure says, or nobody can tell.

    names   of the frames, default those of their files;   stated   exposures are known, default where every frame states
    one;   where   in words, what was corrected;   each   name every such frame, not the worst alone
    """
    names = [frame.path.name for frame in frames] if names is None else names
    stated = all(frame.settings.exposure is not None for frame in frames) if stated is None else stated
    untold = [names[k] for k in kept if math.isnan(gains[k])]
    notes = (f"{', '.join(untold)}: brightness cannot be compared with the reference frame (too few pixels that are neither "
             f"dark nor saturated in both); it is taken as {'its exposure says' if stated else 'equal'}",) if untold else ()
    amount = {k: abs(math.log(gains[k])) for k in kept if not math.isnan(gains[k])}
    told = [k for k in amount if amount[k] >= math.log(_LARGEST_GAIN)]
    if not told:
        return notes
    expected = "what its exposure says" if stated else "that of the reference frame"
    if not each:
        told = [max(told, key=lambda k: amount[k])]
    return (*notes, *(f"{names[k]}: brightness differs by a factor of {1 / gains[k]:.3g} from {expected}; it was corrected"
                      f"{where}; check {'exposure_s in capture.toml, or ' if stated else ''}the light" for k in told))


def doubtful_foci(frames) -> tuple[str, ...]:
    """A sentence when focus distances are too uncertain for what sigma says."""
    spread = [value.sigma / value.value for frame in frames for value in (frame.settings.focus_distance,)
              if value is not None and value.sigma]
    if not spread or max(spread) < _DOUBTFUL:
        return ()
    source = next(frame.settings.focus_distance.source for frame in frames if frame.settings.focus_distance is not None)
    return (f"focus distances from {source} are uncertain by {max(spread):.0%}; sigma tells how well the images locate the "
            "focus, not this: the whole depth may be off by as much; state measured focus_distance_m in capture.toml",)


def saturated(source: Source, images) -> tuple[str, ...]:
    """A sentence when images of a quad are saturated, which leaves depth unknown: the one at the largest pupil first.

    images   (K, H, W) as decoded, NaN = saturated
    """
    if source.kind != "differential-quad":
        return ()
    shares = [float(np.isnan(images[k]).mean()) for k in range(len(source.frames))]
    told = [k for k in np.argsort(shares)[::-1] if shares[k] > SATURATED]
    if not told:
        return ()
    names = ", ".join(f"{source.frames[k].path.name} ({source.frames[k].role}): {shares[k]:.2g}" for k in told)
    return (f"saturated pixels, a share of {names}; at most {SATURATED:g} do no harm, and depth stays unknown there; "
            "expose that frame shorter and state exposure_s of all four",)


def check_views(source: Source, images) -> None:
    """Raises ValueError, naming the view, for a dual-pixel pair of which one shows nothing, or both the same.

    images   as in `views`
    """
    if source.kind != "dual-pixel":
        return
    step = "check black_level, white_level and the export of the views"
    names = [f"{frame.path.parent / frame.name}: the {frame.view} view" for frame in source.frames]
    light = []
    for name, image in zip(names, (images[0], images[1]), strict=True):
        known = image[np.isfinite(image)]
        low, high = (float(known.min()), float(known.max())) if known.size else (math.nan, math.nan)
        if high <= 0:
            what = "all values are negative" if high < 0 else "it is black" if low == 0 else "no value exceeds black"
            raise ValueError(f"{name} shows nothing: {what} (largest {high:.3g} of white, 0 = black); {step}")
        if low == high:
            raise ValueError(f"{name} shows nothing: every pixel is {low:.3g} of white; {step}")
        light.append(max(float(known.mean(dtype=np.float64)), 0.0))
    if np.array_equal(images[0], images[1], equal_nan=True):
        raise ValueError(f"{source.frames[0].path.parent}: both views show the same values, pixel by pixel; what two halves "
                         "of a pupil see differs; export the left and the right view again")
    dark = int(np.argmin(light))
    if light[dark] * _MOST_UNEVEN < light[1 - dark]:
        raise ValueError(f"{names[dark]} has {light[dark] / light[1 - dark]:.2g} of the light of the other (at least "
                         f"{1 / _MOST_UNEVEN:g}, halves of a pupil have about the same); are they one shot? {step}")


def views(source: Source, images) -> tuple[str, ...]:
    """Sentences about the views of a dual-pixel pair: much of them saturated, or different along the wrong axis.

    images   (2, H, W) as decoded, NaN = saturated
    """
    if source.kind != "dual-pixel":
        return ()
    left, right = images[0], images[1]
    unknown = float((np.isnan(left) | np.isnan(right)).mean())
    what = "its main frame" if source.frames[0].half else "one of the views"
    notes = (f"{source.frames[0].path.name}: {unknown:.0%} of the pixels of {what} are saturated (at most "
             f"{MOST_SATURATED:.0%} do little harm), and depth stays unknown there; expose shorter",)
    notes = notes if unknown > MOST_SATURATED else ()
    shifted = prepare.shift_note(prepare.view_shift(left, right), source.axis)
    return (*notes, f"{source.frames[0].path.name}: {shifted}") if shifted else notes


def uneven_views(source: Source, ratio) -> tuple[str, ...]:
    """A sentence where the views of a dual-pixel pair were made equally bright by what they show themselves."""
    if ratio is None:
        return ()
    low, high = np.percentile(ratio, [5, 95])
    return (f"the left view is {low:.2f} to {high:.2f} times as bright as the right one over the picture, and the right one "
            "was multiplied by that, smoothed over a sixteenth of the picture; white sheets (white_sheet in [[frames]] of "
            "capture.toml) tell it better",)


def displaced(source: Source, alignment, *, moved: bool) -> tuple[str, ...]:
    """A sentence per frame of a quad that lies off its place by more than a tenth of a pixel, whether it was moved or not.

    alignment   as `prepare.align_views` found it;   moved   the motions that it supports are applied
    """
    if source.kind != "differential-quad" or alignment is None:
        return ()
    done = "it was moved back" if moved else "it was left there"
    step = ("a fixed rig moves with power alone: give a lens profile with power_warp, or look for what moved" if moved else
            "let --align auto move it, or give a lens profile with power_warp")
    return tuple(f"{frame.path.name} ({frame.role}): lies {shift:.2f} px off its place (1-sigma {sigma:.2f} px, at most "
                 f"{DISPLACED_PX:g} px do no harm); {done}; {step}"
                 for frame, shift, sigma, off in zip(source.frames, alignment.corner_shift_px, alignment.sigma_px,
                                                     alignment.applied, strict=True) if off and shift > DISPLACED_PX)
