"""`dfd lightfield`: what its options mean for the capture, and the lines that say what was read and what was written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from dfd.io.hci import read_parameters
from dfd.io.lightcapture import ASSUMED
from dfd.io.wording import metre_unit, plain
from dfd.lightfield.ghosts import GUARD, ghosts
from dfd.lightfield.maps import range_before_infinity
from dfd.noise import Noise
from dfd.simulate.captures import READ_NOISE

_BLUR_STEP, _LEAST, _MOST = 2.0, 5, 64  # growth of blur between the frames of a stack [px]; their number
_POWER_STEP = 0.75  # growth of blur [px of coc] by which a quad moves its power to each side
_PUPIL_STEP = 0.2  # share of its pupil, by which a quad changes it to each side
_HELD = 1.5  # distances of neighbouring views that the narrowest pupil is wide
_QUAD_PLACE = 0.25  # of the range from its far end, where a quad focuses


def with_camera(field, camera: str):
    """The light field with the camera that --camera names: files, assumed, or the path of a parameters.cfg."""
    if camera == "files":
        return field
    if camera == "assumed":
        return field.virtual()
    if Path(camera).suffix.lower() == ".cfg":
        return field.with_camera(read_parameters(camera))
    raise ValueError(f"--camera ({camera}) must be files, assumed, or the path of a parameters.cfg")


def pupils_of(field, pupil: str | None, f_number: str | None) -> list[float] | None:
    """Diameters [view steps] that --pupil or --f-number ask for, None where neither does."""
    if pupil is not None and f_number is not None:
        raise ValueError(f"--pupil ({pupil}) and --f-number ({f_number}) state one thing twice; keep one of them")
    if pupil is None and f_number is None:
        return None
    if pupil is not None:
        steps = numbers("--pupil", pupil, "view steps, such as 9, or 9,3 for an aperture pair")
    else:
        lens = field.need_camera().thin_lens(field.camera.focus, 1.0)
        steps = [lens.f_number / number for number in numbers("--f-number", f_number, "such as 2.8, or 2,5.6 for a pair")]
    for step in steps:
        if not step <= field.extent * (1 + 1e-9):
            raise ValueError(f"a pupil of {step:.4g} view steps must be positive and at most the {field.extent:g} that the "
                             "views fill; choose a smaller --pupil or a larger --f-number")
    return steps


def prepared(field, kind: str, pupils, count: int | None, *, f_number: str | None = None):
    """The light field that pictures are made of: one channel, no more views than the pupil needs, `count` x `count` of them.

    f_number   the option, where it gave the pupils
    Raises ValueError for a pupil that holds a single view, and as `LightField.densify`.
    """
    field = replace(field, views=field.grey[..., None])
    if pupils is not None:
        widest = max(pupils) * (1 + _PUPIL_STEP if kind == "differential-quad" else 1)
        if widest > field.extent * (1 + 1e-9):
            raise ValueError(f"a pupil of {max(pupils):.4g} view steps is {1 + _PUPIL_STEP:g} times as wide in one of "
                             f"four images, and the views fill {field.extent:g}; take at most "
                             f"{field.extent / (1 + _PUPIL_STEP):.4g} (--pupil, or a larger --f-number)")
        field = field.narrowed((2 * math.ceil((widest / field.spacing - 1) / 2 * (1 - 1e-9)) + 1) * field.spacing)
        least = _HELD / (1 - _PUPIL_STEP if kind == "differential-quad" else 1)
        _check_held(field, min(pupils), least * (field.extent / count if count else field.spacing), f_number)
    return field if count is None else field.densify(count)


def _check_held(field, pupil, least, f_number):
    """Raises ValueError for a pupil below `least` [view steps], in terms of the option that gave it."""
    if pupil >= least * (1 - 1e-3):
        return
    if f_number is None:
        raise ValueError(f"--pupil ({pupil:.4g} view steps) must be at least {least:.4g}, or a single view is all it holds; "
                         "widen it, or add views with --densify N")
    most = field.camera.thin_lens(field.camera.focus, least).f_number
    raise ValueError(f"--f-number ({f_number}) must be at most {most:.4g}, or a single view is all that the pupil holds; "
                     "lower it, or add views with --densify N")


def shoot(field, kind: str, *, frames, pupils, focus, full_well, seed):
    """The capture that options ask for which `dfd.cli.lightchecks` let pass; the range of the scene fills in the others."""
    camera, noise = field.need_camera(), Noise(full_well, READ_NOISE) if full_well else None
    low, high = range_before_infinity(field.disparity, camera) if field.knows_depth else (math.nan, math.nan)
    near, far = camera.inverse_depth(high), camera.inverse_depth(low)
    foci = None if focus is None else [1 / distance for distance in focus]
    if kind == "focal-stack":
        if foci is None:
            pupil = field.extent if pupils is None else pupils[0]
            count = frames or min(max(math.ceil((high - low) * pupil / _BLUR_STEP) + 1, _LEAST), _MOST)
            foci = np.linspace(near, far, count)
        return field.focal_stack(foci, pupil=pupils and pupils[0], noise=noise, seed=seed)
    if kind == "aperture-pair":
        at = near if foci is None else foci[0]
        return field.aperture_pair(at, pupils=pupils, side="far" if foci is None else None, noise=noise, seed=seed)
    if kind == "dual-pixel":
        return field.dual_pixel((near + far) / 2 if foci is None else foci[0], pupil=pupils and pupils[0], noise=noise,
                                seed=seed)
    at = far + _QUAD_PLACE * (near - far) if foci is None else foci[0]
    pupil = field.extent / (1 + _PUPIL_STEP) if pupils is None else pupils[0]
    return field.quadruple(at, power_step=_POWER_STEP / (pupil * camera.disparity_rate), pupil_step=_PUPIL_STEP, pupil=pupil,
                           noise=noise, seed=seed)


def motion(field, capture) -> float:
    """`LightField.max_step` of the pictures of a capture [px]."""
    return field.max_step([field.camera.disparity(view.lens.focus) for view in capture.views],
                          range_before_infinity(field.disparity, field.camera))


def warning_of(field, kind: str, step: float) -> str | None:
    """The warning of a motion between neighbouring views that is too large, with the number of views that would do."""
    otherwise = "; or keep to a smaller range with --focus" if kind == "focal-stack" else ""
    return ghosts(field, step, call="--densify {}", otherwise=otherwise)


def numbers(option, text, example) -> list[float]:
    """Positive numbers separated by commas."""
    try:
        found = [float(item) for item in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(number > 0 for number in found):
        raise ValueError(f"{option} ({text}) must be positive numbers separated by commas: {example}")
    return found


def facts(path, field, signs) -> dict:
    """What was read, as JSON types: lengths in metres, disparity in px per view step."""
    camera, known = field.camera, field.knows_depth
    low, high = field.disparity_range if known else (None, None)
    seen = range_before_infinity(field.disparity, camera) if known and camera is not None else None
    ends = [1 / camera.inverse_depth(end) for end in seen] if seen else None
    return {
        "path": str(path), "name": field.name, "convention": field.convention,
        "views": {"count": len(field), "width_px": field.shape[1], "height_px": field.shape[0],
                  "channels": int(field.views.shape[3]), "pupil_view_steps": field.extent,
                  "spacing_view_steps": field.spacing},
        "camera": None if camera is None else {
            "assumed": camera.assumed, "baseline_m": camera.baseline, "image_distance_m": camera.image_distance,
            "pixel_pitch_m": camera.pixel_pitch, "zero_disparity_dpt": camera.focus, "px_per_dioptre": camera.disparity_rate,
            "f_number": camera.thin_lens(camera.focus, field.extent).f_number},
        "disparity_px": {"least": low, "largest": high, "known": float(np.isfinite(field.disparity).mean())}
        if known else None,
        "depth_m": {"nearest": ends[1], "farthest": ends[0]} if ends else None,
        "max_step_px": field.max_step(seen or (low, high), seen) if known else None,
        "signs": {"estimated": signs.estimated, "errors": signs.errors, "reversed": signs.reversed},
        "warnings": [signs.advice] if signs.advice else [],
    }


def fact_lines(found: dict, advice: str):
    """The same for a reader; that a camera is assumed comes first."""
    camera, views = found["camera"], found["views"]
    if camera and camera["assumed"]:
        yield f"NOT a measured camera: {ASSUMED}"
    yield (f"{found['path']}: {views['count']} views of {views['width_px']} x {views['height_px']} px, "
           f"{'colour' if views['channels'] == 3 else 'grey'}, a pupil of {views['pupil_view_steps']:g} view steps")
    yield f"convention  {found['convention']}"
    yield f"camera      {_camera_words(camera)}"
    disparity, depth = found["disparity_px"], found["depth_m"]
    if disparity is None:
        yield "disparity   not in the files"
    else:
        metres = f"; depth {depth['nearest']:.4g} to {depth['farthest']:.4g} m" if depth else ""
        yield (f"disparity   {disparity['least']:.4g} to {disparity['largest']:.4g} px per view step, positive = nearer, "
               f"known at {disparity['known']:.1%} of the pixels{metres}")
        yield (f"motion      up to {found['max_step_px']:.3g} px between neighbouring views in pictures focused anywhere in "
               f"this range ({GUARD:g} px and less is free of ghosts)")
    yield f"signs       {_sign_words(found['signs'])}"
    if advice:
        yield f"warning: {advice}"
    if camera is None:
        yield ("no capture and no metres without a camera: compare in disparity, or pass --camera assumed, or --camera FILE "
               "of a parameters.cfg")


def _camera_words(camera):
    if camera is None:
        return "not in the files"
    zero = camera["zero_disparity_dpt"]
    lengths = ", ".join(f"{name} {_length(camera[key])}" for name, key in (
        ("baseline", "baseline_m"), ("image distance", "image_distance_m"), ("pixel pitch", "pixel_pitch_m")))
    return (f"{'assumed: ' if camera['assumed'] else ''}{lengths}, zero disparity at "
            f"{f'{1 / zero:.4g} m' if zero else 'infinity'}; {camera['px_per_dioptre']:.4g} px per dioptre and view step, "
            f"f/{camera['f_number']:.3g} for all views")


def _length(metres):
    size, unit = metre_unit(metres)
    return plain(f"{metres / size:.4g} {unit}")


def _sign_words(signs):
    told = {name: error for name, error in signs["errors"].items() if error is not None}
    if "" not in told:
        return "cannot be told from these views"
    others = ", ".join(f"{name} reversed {error:.3f}" for name, error in told.items() if name)
    by = " by a quick estimate of disparity, which leaves u and v together open" if signs["estimated"] else ""
    return f"views warped to the reference differ by {told['']:.3f} of white{by}; {others}"
