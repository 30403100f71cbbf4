"""Focal Flow: depth and velocity from a few frames of a moving scene, seen by a lens that does not change.

Alexander, Guo, Koppal, Gortler and Zickler, "Focal flow: velocity and depth from differential defocus through motion",
2016 and 2018.  What recedes shrinks, and its blur changes: over a window the brightness obeys, for a Gaussian PSF,

    I_t + u_1 I_x + u_2 I_y + u_3 (x I_x + y I_y) + u_4 laplacian(I) = 0
    u_3 = -Zdot / Z,        inverse depth = focus - 16 u_4 / (u_3 B^2 focus)        (px, frames; B px/dioptre)

by least squares; without motion along the axis there is no depth, nor from a lens focused at infinity, where u_4 is zero.
x and y count from the middle of the window, not from the principal point: another origin adds u_3 x_0 and u_3 y_0 to u_1
and u_2, which are free, so that u_3 and u_4 stay what they are; only the velocity across the axis asks where it is.

Smoothing, pixel and core add to u_4 too, as they do not shrink with the scene, and a disk answers otherwise than its
Gaussian: both are undone through the PSF (see `flow_design`).  I_t is the slope over the frames; the mean that is
differentiated weighs them so that both agree to fourth order in the motion, which should stay below a pixel per frame.

Unknown (NaN): too little motion along the axis or texture, outside the range, no data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dfd import imaging
from dfd.backend import array_module
from dfd.capture import Capture
from dfd.depthmap import DepthMap
from dfd.solvers.flow_design import flow_design
from dfd.solvers.grid import grid_range
from dfd.solvers.laplacian import eliminate
from dfd.solvers.sharpness import gaussian_taps

SMOOTHINGS = (1.5, 2.0, 2.8, 4.0)
"""Std [px] of the Gaussians whose derivatives may be taken: wider ones let the answer follow more blur of a disk."""

WINDOW = 10.0
"""Std [px] of the window of the sums: expansion shows at its ends."""

_COVERED = 0.95
"""Share of the range that the answer should follow."""

_SIGNIFICANT = 4.0
"""Standard deviations of the expansion above which there is motion along the axis, and of the noise for texture."""

_LEAST_SHARE = 0.2
"""Share of a window that must hold data."""

_UNCERTAIN = 0.5
"""Most sigma of a value that is still called known, as a share of the range."""

_INDEPENDENT = float(np.sum(gaussian_taps(WINDOW) ** 2)) ** 2
"""1 over the pixels that a window averages over."""

_SAME_PX, _LEAST_PX, _STILL = 0.1, 40, 0.01
_BYTES, _FRAME = 310, 4
"""Bytes per pixel of the sums and of what follows from them, and of each frame."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Depth map, and velocity of what is seen [m/s], (H, W) float32: away from the camera, right, down; NaN = unknown."""

    depth: DepthMap
    away: np.ndarray
    right: np.ndarray
    down: np.ndarray


def solve_focal_flow(capture: Capture, *, limits=None) -> DepthMap:
    """Inverse depth [dioptre] from frames in order of time, evenly spaced, by one lens setting; not aligned to each other.

    capture   2 or more views of the same optics; the map is that of the middle of the time
    limits    (nearest, farthest) inverse depth [dioptre]; None: 48 px of blur around the focus
    Raises ValueError as `check` does.
    """
    return solve_motion(capture, interval=1.0, limits=limits).depth


def solve_motion(capture: Capture, *, interval: float, principal_point=None, limits=None) -> Motion:
    """Depth and velocity from frames as `solve_focal_flow` takes them.

    interval          seconds from frame to frame
    principal_point   (x, y) [px] where the optical axis meets the image; None: its middle
    Raises ValueError as `check` does, and for an interval that is not positive.
    """
    if not (math.isfinite(interval) and interval > 0):
        raise ValueError(f"interval ({interval:g} s) from frame to frame must be positive; give seconds")
    check(capture, limits)
    xp, lens = array_module(capture.images), capture.views[0].lens
    low, high = grid_range(capture, limits)
    made = _design(capture, low, high)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        flow, expansion, answer, spread, known = _answers(capture, made)
        value, sigma, inside = _to_depth(made, answer, spread)
        known = known & inside & (sigma < _UNCERTAIN * (high - low)) & xp.isfinite(capture.images).all(axis=0)
        value, sigma = (xp.where(known, part, xp.float32(np.nan)).astype(np.float32) for part in (value, sigma))
        height, width = capture.shape
        middle = ((width - 1) / 2, (height - 1) / 2) if principal_point is None else principal_point
        from_axis = (xp.arange(width, dtype=np.float32)[None] - float(middle[0]),
                     xp.arange(height, dtype=np.float32)[:, None] - float(middle[1]))
        across = [((expansion * place - part) / (value * (lens.fx * interval))).astype(np.float32)
                  for part, place in zip(flow, from_axis, strict=True)]
        away = (expansion / (value * interval)).astype(np.float32)
    return Motion(DepthMap(value, sigma, "metric", "focal-flow"), away, *across)


def check(capture: Capture, limits) -> None:
    """Raises ValueError unless these are large enough frames of one lens setting, focused nearer than infinity."""
    if capture.scale != "metric":
        raise ValueError(f"no optics: this {capture.kind} has scale {capture.scale}, and focal-flow needs focal length, "
                         "f-number, pixel pitch and focus distance; add them to capture.toml")
    if min(capture.shape) < _LEAST_PX:
        raise ValueError(f"images ({capture.shape[1]} x {capture.shape[0]} px) must have at least {_LEAST_PX} px to a side: "
                         "windows reach across smaller ones; use larger images")
    low, high = grid_range(capture, limits)
    ends = np.array([view.lens.coc(np.array([low, high])) for view in capture.views])
    if np.ptp(ends, axis=0).max() > _SAME_PX or len({view.psf for view in capture.views}) > 1:
        raise ValueError(f"focal-flow needs one lens setting, the blur of these images differs by up to "
                         f"{np.ptp(ends, axis=0).max():.2g} px (at most {_SAME_PX:g}); use --solver auto")
    lens, wave = capture.views[0].lens, np.array([1.0])
    if np.iscomplexobj(capture.views[0].psf.otf(1.0, wave, wave)):
        raise ValueError(f"focal-flow needs a symmetrical PSF, not {capture.views[0].psf.model}; use --solver auto, or "
                         "another psf in capture.toml")
    if not lens.focus > 0:
        raise ValueError(f"focus ({lens.focus:.4g} dioptre) lies at infinity or beyond, where blur does not change with the "
                         "size of what moves; focus nearer")


def reach(capture: Capture, limits) -> int:
    """Px around a pixel that its value may depend on."""
    return _tap_reach(_design(capture, *grid_range(capture, limits))) + math.ceil(4 * WINDOW)


def bytes_needed(capture: Capture, shape: tuple[int, int], limits) -> int:
    """Bytes that solving the images cut to `shape` takes on the CPU, a copy of them included."""
    return (_BYTES + _FRAME * len(capture)) * shape[0] * shape[1]


def remarks(capture: Capture, result: DepthMap) -> tuple[str, ...]:
    """A sentence where next to nothing is known."""
    if float(result.valid.mean()) > _STILL:
        return ()
    return ("next to no motion along the axis shows: focal-flow needs frames as they were taken (--align none) of something "
            "that comes nearer or recedes, by less than a pixel per frame",)


def _design(capture, low, high):
    """The design of least smoothing that follows the depth over nearly all of the range, else the one that does longest."""
    view = capture.views[0]
    made = [flow_design(view.lens, view.psf, view.noise.taps, low, high, smoothing) for smoothing in SMOOTHINGS]
    spans = [float(np.ptp(each.inverse_depth)) for each in made]
    return next((each for each, span in zip(made, spans, strict=True) if span >= _COVERED * (high - low)),
                made[int(np.argmax(spans))])


def _tap_reach(made):
    return math.ceil(5 * made.smoothing)


def _answers(capture, made):
    """(flow (right, down) [px/frame], expansion Zdot / Z [1/frame], answer [px^2], its 1-sigma, bool: there is motion)."""
    xp, noise_taps = array_module(capture.images), capture.views[0].noise.taps
    columns, slope, loud, quiet = _columns(capture, made)
    known = imaging.inside(xp.isfinite(slope), _tap_reach(made))
    share = _windowed(known, known, 0, 0)
    loud, quiet = (_windowed(known, part, 0, 0) / share for part in (loud, quiet))
    sums = _sums(known, [*columns, slope], share)
    left_noise, *powers = _noise_powers(made, noise_taps)
    for k, power in enumerate(powers):
        sums[k][k] = sums[k][k] - quiet * power
    (dd, dl, dt), (_, ll, lt), (_, _, left) = eliminate(sums, 2)
    determinant = dd * ll - dl**2
    expansion, blurring = (dt * ll - lt * dl) / determinant, (lt * dd - dt * dl) / determinant
    misfit = xp.maximum(left - expansion * dt - blurring * lt - loud * left_noise, 0)
    answer = WINDOW * blurring / expansion
    var_d, var_l, both = _covariance(made, (dd, dl, ll, determinant), answer, loud, misfit, share)
    spread = WINDOW * xp.sqrt(xp.maximum(var_l + (answer / WINDOW) ** 2 * var_d - 2 * answer / WINDOW * both, 0))
    chance = _SIGNIFICANT * quiet * xp.sqrt(4 * math.pi * made.smoothing**2 * _INDEPENDENT / share)
    moving = (xp.abs(expansion) > _SIGNIFICANT * xp.sqrt(var_d)) & (share > _LEAST_SHARE)
    moving &= (dd > chance * powers[2]) & (ll > chance * powers[3]) & (determinant > 0)
    right, down = _flow(sums, expansion, blurring)
    answer = answer + _frames(len(capture))[2] / 2 * (right**2 + down**2)
    return (right, down), expansion / WINDOW, answer, spread / xp.abs(expansion), moving


def _covariance(made, sums, answer, loud, misfit, share):
    """(variance of the expansion, of the blurring, covariance) of the fit, per window.

    The window of the squared weights is half as wide, so that the column with the place in it has half of its power there.
    """
    xp = array_module(answer)
    dd, dl, ll, determinant = sums
    answers = xp.asarray(made.answer)
    independent = _INDEPENDENT / share
    of_d, of_l = (independent * (loud * xp.interp(answer, answers, xp.asarray(table)) + misfit * made.alike)
                  for table in (made.gradient_noise, made.laplacian_noise))
    d_noise, l_noise, both = 0.5 * dd * of_d, ll * of_l, 0.5 * dl * xp.sqrt(of_d * of_l)
    var_d = (ll**2 * d_noise - 2 * ll * dl * both + dl**2 * l_noise) / determinant**2
    var_l = (dl**2 * d_noise - 2 * dd * dl * both + dd**2 * l_noise) / determinant**2
    cov = ((ll * dd + dl**2) * both - ll * dl * d_noise - dd * dl * l_noise) / determinant**2
    return var_d, var_l, cov


def _to_depth(made, answer, spread):
    """(inverse depth, its 1-sigma, bool: a depth in the range explains the answer), (H, W) each."""
    xp = array_module(answer)
    answers, places, doubts = (xp.asarray(part) for part in (made.answer, made.inverse_depth, made.doubt))
    slope = xp.asarray(np.abs(np.gradient(made.inverse_depth) / np.gradient(made.answer)))
    inside = (answer >= made.answer[0]) & (answer <= made.answer[-1])
    spread = xp.sqrt(spread**2 + xp.interp(answer, answers, doubts) ** 2)
    return xp.interp(answer, answers, places), spread * xp.interp(answer, answers, slope), inside


def _columns(capture, made):
    """(I_x, I_y, laplacian) of the mean, I_t per frame, and the noise of a pixel of I_t and of the mean, (H, W) each."""
    times, weights, _ = _frames(len(capture))
    slope = sum(float(weight) * image for weight, image in zip(times, capture.images, strict=True))
    mean = sum(float(weight) * image for weight, image in zip(weights, capture.images, strict=True))
    loud, quiet = (sum(float(weight**2) * view.noise.variance(mean)
                       for weight, view in zip(each, capture.views, strict=True)) for each in (times, weights))
    none, first, second = _taps(made)
    laplacian = imaging.separable(mean, none, second) + imaging.separable(mean, second, none)
    columns = imaging.separable(mean, none, first), imaging.separable(mean, first, none), laplacian
    return columns, imaging.separable(slope, none, none), loud, quiet


def _frames(count):
    """(weights of the slope per frame, weights of the mean, mean square of the time that the slope is taken over).

    Slope and mean agree on a motion to fourth order, from 3 frames on.  At constant speed what recedes crosses the image
    ever more slowly; over that time this looks like blur, by half the square of its motion.
    """
    times = np.arange(count) - (count - 1) / 2
    square, fourth = np.sum(times**2), np.sum(times**4)
    spread = fourth / (3 * square)
    if count == 2:
        return times / square, np.full(2, 0.5), spread
    even = np.linalg.solve([[count, square], [square, fourth]], [1, spread])
    return times / square, even[0] + even[1] * times**2, spread


def _taps(made):
    """Weights of a Gaussian and of its first and second derivative, exact on parabolas."""
    axis = np.arange(-_tap_reach(made), _tap_reach(made) + 1)
    none = np.exp(-0.5 * (axis / made.smoothing) ** 2)
    none /= none.sum()
    first, second = axis * none, (axis**2 / made.smoothing**2 - 1) * none
    second -= second.sum() * none
    return none, first / np.sum(first * axis), second / np.sum(second * axis**2 / 2)


def _noise_powers(made, taps):
    """Variance of smoothed noise, and of the four columns x, y, expansion, laplacian, per variance of a pixel."""
    none, first, second = (np.convolve(each, taps) for each in _taps(made))
    white = np.sum(np.square(taps)) ** 2
    gradient = np.sum(first**2) * np.sum(none**2) / white
    laplacian = 2 * (np.sum(second**2) * np.sum(none**2) + np.sum(second * none) ** 2) / white
    return np.sum(none**2) ** 2 / white, gradient, gradient, 2 * gradient, laplacian


def _windowed(known, plane, down, right):
    """Sum over the window of what is known of a plane times (y / WINDOW)^down (x / WINDOW)^right."""
    xp = array_module(plane)
    taps = gaussian_taps(WINDOW)
    place = np.arange(-(len(taps) // 2), len(taps) // 2 + 1) / WINDOW
    return imaging.separable(xp.where(known, plane, 0).astype(np.float32), taps * place**down, taps * place**right)


def _sums(known, columns, share):
    """Sums of products of x, y, expansion, laplacian and I_t over the window, as a symmetric matrix of (H, W)."""
    gx, gy, detail, slope = columns

    def total(one, two, down=0, right=0):
        return _windowed(known, one * two, down, right) / share

    xx, xy, yy = total(gx, gx), total(gx, gy), total(gy, gy)
    to_x = total(gx, gx, 0, 1) + total(gx, gy, 1, 0)
    to_y = total(gx, gy, 0, 1) + total(gy, gy, 1, 0)
    both = total(gx, gx, 0, 2) + 2 * total(gx, gy, 1, 1) + total(gy, gy, 2, 0)
    others = [(total(gx, each), total(gy, each), total(gx, each, 0, 1) + total(gy, each, 1, 0)) for each in (detail, slope)]
    (xl, yl, dl), (xt, yt, dt) = others
    return [[xx, xy, to_x, xl, xt], [xy, yy, to_y, yl, yt], [to_x, to_y, both, dl, dt],
            [xl, yl, dl, total(detail, detail), total(detail, slope)],
            [xt, yt, dt, total(detail, slope), total(slope, slope)]]


def _flow(sums, expansion, blurring):
    """(-u_1, -u_2), (H, W) each, of the least squares, once the other two unknowns are known."""
    (xx, xy), (yx, yy) = sums[0][:2], sums[1][:2]
    x, y = (row[4] - expansion * row[2] - blurring * row[3] for row in sums[:2])
    determinant = xx * yy - xy * yx
    return (x * yy - y * xy) / determinant, (y * xx - x * yx) / determinant
