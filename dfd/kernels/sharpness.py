"""Focus curves of every pixel in one pass over the frames: the fused loop for the CPU of solvers/sharpness.py.

The array version there is the reference that tests hold this one against, and the path of the GPU.  A tile gives what the
whole image gives up to rounding: sums are taken in the same order wherever a pixel lies, but a part of a frame in which
there is a hole divides its means by the known share, which away from the hole is 1 within rounding.
"""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np

from dfd.kernels import sealed


def measure_frames(images, order, variances, scales, responses, least_share, reach):
    """Sharpness of every frame at every scale, and the mean standard deviation of its noise.

    images        (K, H, W) float32, NaN = no data;   order   the K indices in the order of the curves
    variances     (K, 2) slope and offset of the noise variance against brightness, in that order
    scales        rows of (taps of the Gaussian, step, window) as in solvers.sharpness
    responses     (K, S, 2) variance of one second difference per variance of a pixel; std of the mean per std of one
    least_share   share of a window that must hold data;   reach   px around a pixel that its sharpness depends on
    Returns volumes, (S, K, H, W) float32, and deviations, (S, H, W) float32.
    """
    count, height, width = len(order), *images.shape[1:]
    volumes = np.empty((len(scales), count, height, width), np.float32)
    deviations = np.zeros((len(scales), height, width), np.float32)
    space = np.empty(8 * height * width, np.float32)
    scales = [(np.asarray(taps, np.float32), step, np.full(window, 1 / window, np.float32)) for taps, step, window in scales]
    for place, index in enumerate(order):
        image = images[index]
        for outer, inner in _pieces(image, reach):
            part = sealed(np.ascontiguousarray(image[:, outer], dtype=np.float32))
            room = space[:8 * part.size].reshape(8, *part.shape)
            kept = slice(inner.start - outer.start, inner.stop - outer.start)
            whole = _known(part, room[0], room[5])
            _spread(room[5], room[0], whole, variances[place], scales[1][2], room[1:5])
            for number, scale in enumerate(scales):
                response, mean = responses[place, number]
                _measure(part, whole, *scale, room, np.float32(8 / np.pi * response),
                         np.float32(mean * np.sqrt(response) / count), np.float32(least_share))
                volumes[number, place, :, inner] = room[6][:, kept]
                deviations[number, :, inner] += room[7][:, kept]
    return volumes, deviations


def _pieces(image, reach):
    """(columns with halo, columns) of a frame's parts: where every pixel of a column has data holes need no care."""
    width = image.shape[1]
    left, right = _whole_columns(image)
    if right - left <= 2 * reach or right - left == width:
        return [(slice(0, width), slice(0, width))]
    left, right = left + reach if left else 0, right - reach if right < width else width
    cuts = sorted({0, left, right, width})
    return [(slice(max(start - reach, 0), min(stop + reach, width)), slice(start, stop))
            for start, stop in pairwise(cuts)]


@numba.njit(nogil=True, cache=True)
def _whole_columns(image):
    """The columns from the middle outwards that hold no NaN, as (first, behind the last)."""
    height, width = image.shape
    total = np.zeros(width, np.float32)
    for y in range(height):
        for x in range(width):
            total[x] += image[y, x]
    left = right = width // 2
    while left > 0 and total[left - 1] == total[left - 1]:
        left -= 1
    while right < width and total[right] == total[right]:
        right += 1
    return left, right


@numba.njit(nogil=True, cache=True)
def _known(image, known, filled):
    """1 where there is data, else 0; the image with 0 for no data; True when there is data everywhere."""
    whole = True
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x]
            there = value == value
            known[y, x] = 1 if there else 0
            filled[y, x] = value if there else 0
            whole &= there
    return whole


@numba.njit(nogil=True, cache=True)
def _spread(filled, known, whole, variance, taps, room):
    """Standard deviation of a pixel at the local brightness, the mean of what is known; into the last of 4 planes."""
    turned, level, share, std = room[0], room[1], room[2], room[3]
    _blur(filled, taps, turned, level)
    if not whole:
        _blur(known, taps, turned, share)
        _divide(level, share, np.float32(1e-6))
    zero, slope, offset = np.float32(0), np.float32(variance[0]), np.float32(variance[1])
    for y in range(level.shape[0]):
        for x in range(level.shape[1]):
            bright = level[y, x]  # NaN far inside a hole: as dark
            std[y, x] = np.sqrt((bright if bright > zero else zero) * slope + offset)


@numba.njit(nogil=True, cache=True)
def _measure(image, whole, taps, step, box, room, floor, mean, least):
    """One frame at one scale; `room` holds known, three free planes, std, the filled image, and the two results."""
    known, smooth, turned, detail = room[0], room[1], room[2], room[3]
    std, filled, volume, deviation = room[4], room[5], room[6], room[7]
    if taps.size > 1:
        _blur(filled, taps, turned, smooth)
        if not whole:
            _blur(known, taps, turned, detail)
            _divide(smooth, detail, least)
    else:
        _copy(image, smooth)
    _laplacian(smooth, step, turned)
    if whole:
        _blur(turned, box, smooth, detail)
    else:
        _fill(turned, smooth)
        _blur(turned, box, detail, volume)
        _blur(smooth, box, turned, detail)
        _divide(volume, detail, least)
        _copy(volume, detail)
    zero, nothing = np.float32(0), np.float32(np.nan)
    for y in range(volume.shape[0]):
        out, strength, there, noise, total = volume[y], detail[y], known[y], std[y], deviation[y]
        for x in range(volume.shape[1]):
            square = strength[x] * strength[x] - floor * noise[x] * noise[x]
            value = np.sqrt(zero if square < zero else square)
            out[x] = value if there[x] > zero else nothing
            total[x] = mean * noise[x]


@numba.njit(nogil=True, cache=True)
def _copy(image, out):  # a loop compiles in a tenth of the time of out[:] = image
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = image[y, x]


@numba.njit(nogil=True, cache=True)
def _divide(total, share, least):
    """The mean of what is known, NaN where it is too little."""
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            total[y, x] = total[y, x] / share[y, x] if share[y, x] > least else np.float32(np.nan)


@numba.njit(nogil=True, cache=True)
def _fill(values, known):
    """0 for every NaN, and where there was none."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            there = values[y, x] == values[y, x]
            known[y, x] = 1 if there else 0
            if not there:
                values[y, x] = 0


@numba.njit(nogil=True, cache=True)
def _blur(image, taps, turned, out):
    """Symmetric separable filter; the border repeats the edge pixel (cv2.BORDER_REFLECT).  `turned` is scratch."""
    height, width = image.shape
    half = taps.size // 2
    for y in range(height):
        row = turned[y]
        centre = image[y]
        for x in range(width):
            row[x] = taps[half] * centre[x]
        for j in range(1, half + 1):
            above, below, tap = image[_edge(y - j, height)], image[_edge(y + j, height)], taps[half + j]
            for x in range(width):
                row[x] += tap * (above[x] + below[x])
    line = np.empty(width + 2 * half, np.float32)
    for y in range(height):
        for x in range(width):
            line[x + half] = turned[y, x]
        for j in range(1, half + 1):
            line[half - j] = turned[y, _edge(-j, width)]
            line[half + width - 1 + j] = turned[y, _edge(width - 1 + j, width)]
        row = out[y]
        for x in range(width):
            row[x] = taps[half] * line[x + half]
        for j in range(1, half + 1):
            tap = taps[half + j]
            before, after = line[half - j:half - j + width], line[half + j:half + j + width]
            for x in range(width):
                row[x] += tap * (before[x] + after[x])


@numba.njit(nogil=True, cache=True)
def _laplacian(image, step, out):
    """|second difference in x| + |in y|, neighbours `step` px away, the border mirrored without its edge pixel."""
    height, width = image.shape
    for y in range(height):
        above, below = image[_mirror(y - step, height)], image[_mirror(y + step, height)]
        here, row = image[y], out[y]
        for x in range(width):
            row[x] = abs(2 * here[x] - above[x] - below[x])
        for x in range(step, width - step):
            row[x] += abs(2 * here[x] - here[x - step] - here[x + step])
        for x in range(min(step, width)):
            row[x] += abs(2 * here[x] - here[_mirror(x - step, width)] - here[_mirror(x + step, width)])
        for x in range(max(width - step, step), width):
            row[x] += abs(2 * here[x] - here[_mirror(x - step, width)] - here[_mirror(x + step, width)])


@numba.njit(nogil=True, cache=True)
def _edge(index, size):
    while index < 0 or index >= size:
        index = -index - 1 if index < 0 else 2 * size - 1 - index
    return index


@numba.njit(nogil=True, cache=True)
def _mirror(index, size):
    if size == 1:
        return 0
    while index < 0 or index >= size:
        index = -index if index < 0 else 2 * size - 2 - index
    return index
