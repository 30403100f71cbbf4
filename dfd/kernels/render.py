"""Ray gathering for the simulator (numba, CPU): every pixel averages rays through fixed points of the pupil.

A pixel with direction u = (x - c) / fx sees, through the pupil point p [m], the ray  X(z) = p + z (u - p focus):  all
its rays meet in the plane in focus, and a point at depth z moves by -fx p (1 / z - focus) px against the chief ray.
The nearest hit counts, so occlusion is exact for every ray.  A texture is read with a footprint as wide as the spacing
of the samples, and the points are drawn in by just as much (dfd/simulate/pupil.py), so that the mean over the rays is
a smooth disk whose second moment is exact.
"""

from __future__ import annotations

import math

import numba
import numpy as np

RECTANGLE, DISC, SPHERE = 0, 1, 2

# Columns of `geometry`, one row per primitive, metres.
KIND, CENTRE, AXIS_1, AXIS_2, NORMAL, HALF_1, HALF_2, REACH, SHADE = 0, 1, 4, 7, 10, 13, 14, 15, 16
COLUMNS = 20
# Columns of `mapping`: texture coordinates s, t, 0..1, as linear forms of the hit point (x, y, z, 1); the texel [m].
TEXEL = 8

ENDLESS = 1e6
"""Half width [m] from which a rectangle counts as a plane without edges."""

DENSITY = 34.0
"""Samples wanted per pixel of the area that blur and pixel cover: keeps the error below 0.002 of white from 1 px on."""

MISS = 1e30
_FAST = {"contract", "arcp", "reassoc", "nsz"}
_JIT = {"cache": True, "fastmath": _FAST, "error_model": "numpy"}


@numba.njit(**_JIT)
def _meet(geometry, i, ux, uy, rays, first, count, depth, owner, j):
    """Let primitive i take every ray of `rays[:, first:first + count]` that meets it before `depth` [m]."""
    cx, cy, cz = geometry[i, CENTRE], geometry[i, CENTRE + 1], geometry[i, CENTRE + 2]
    if geometry[i, KIND] == SPHERE:
        square = geometry[i, HALF_1] ** 2
        for n in range(count):
            px, py, dx, dy = rays[0, first + n], rays[1, first + n], ux + rays[2, first + n], uy + rays[3, first + n]
            a = 1.0 / (dx * dx + dy * dy + 1.0)
            k = a * ((cx - px) * dx + (cy - py) * dy + cz)
            # squared distance of centre and ray without cancellation
            ex, ey, ez = cx - px - k * dx, cy - py - k * dy, cz - k
            rest = square - (ex * ex + ey * ey + ez * ez)
            z = k - math.sqrt(max(rest, 0.0) * a)
            taken = (rest > 0.0) & (z > 0.0) & (z < depth[n])
            depth[n] = z if taken else depth[n]
            owner[n] = j if taken else owner[n]
        return
    nx, ny, nz = geometry[i, NORMAL], geometry[i, NORMAL + 1], geometry[i, NORMAL + 2]
    ax, ay, az = geometry[i, AXIS_1], geometry[i, AXIS_1 + 1], geometry[i, AXIS_1 + 2]
    bx, by, bz = geometry[i, AXIS_2], geometry[i, AXIS_2 + 1], geometry[i, AXIS_2 + 2]
    half_1, half_2, square = geometry[i, HALF_1], geometry[i, HALF_2], MISS
    if geometry[i, KIND] == DISC:
        square = half_1 * half_1
    offset = nx * cx + ny * cy + nz * cz
    if geometry[i, REACH] >= ENDLESS:
        for n in range(count):
            z = ((offset - nx * rays[0, first + n] - ny * rays[1, first + n])
                 / (nx * (ux + rays[2, first + n]) + ny * (uy + rays[3, first + n]) + nz))
            taken = (z > 0.0) & (z < depth[n])
            depth[n] = z if taken else depth[n]
            owner[n] = j if taken else owner[n]
        return
    for n in range(count):
        px, py, dx, dy = rays[0, first + n], rays[1, first + n], ux + rays[2, first + n], uy + rays[3, first + n]
        z = (offset - nx * px - ny * py) / (nx * dx + ny * dy + nz)
        ex, ey, ez = px + z * dx - cx, py + z * dy - cy, z - cz
        s = ax * ex + ay * ey + az * ez
        t = bx * ex + by * ey + bz * ez
        inside = (abs(s) <= half_1) & (abs(t) <= half_2) & (s * s + t * t <= square)
        taken = inside & (z > 0.0) & (z < depth[n])
        depth[n] = z if taken else depth[n]
        owner[n] = j if taken else owner[n]


@numba.njit(**_JIT)
def _outside(geometry, i, ux, uy, pixel, focus, radius):
    """True when no ray of the pixel can meet the rectangle i: all rays from the corners of the square around the pupil
    pass it on one side.  A coordinate in its plane is a ratio of linear forms of the pupil point, so its extremes lie
    at corners."""
    nx, ny, nz = geometry[i, NORMAL], geometry[i, NORMAL + 1], geometry[i, NORMAL + 2]
    cx, cy, cz = geometry[i, CENTRE], geometry[i, CENTRE + 1], geometry[i, CENTRE + 2]
    s_low, s_high, t_low, t_high, side = MISS, -MISS, MISS, -MISS, 0.0
    for corner in range(4):
        px, py = radius * (2 * (corner & 1) - 1), radius * ((corner & 2) - 1)
        for end in range(4):
            dx = ux - px * focus + pixel * (2 * (end & 1) - 1)
            dy = uy - py * focus + pixel * ((end & 2) - 1)
            slope = nx * dx + ny * dy + nz
            if slope * side < 0.0 or abs(slope) < 1e-9:
                return False
            side = slope
            z = (nx * (cx - px) + ny * (cy - py) + nz * cz) / slope
            ex, ey, ez = px + z * dx - cx, py + z * dy - cy, z - cz
            s = geometry[i, AXIS_1] * ex + geometry[i, AXIS_1 + 1] * ey + geometry[i, AXIS_1 + 2] * ez
            t = geometry[i, AXIS_2] * ex + geometry[i, AXIS_2 + 1] * ey + geometry[i, AXIS_2 + 2] * ez
            s_low, s_high, t_low, t_high = min(s_low, s), max(s_high, s), min(t_low, t), max(t_high, t)
    half_1, half_2 = geometry[i, HALF_1], geometry[i, HALF_2]
    return s_low > half_1 or s_high < -half_1 or t_low > half_2 or t_high < -half_2


@numba.njit(**_JIT)
def _candidates(geometry, ux, uy, pixel, focus, radius, found):
    """Number of primitives that a ray of this pixel may meet, their indices in `found`; `pixel`: half its slope."""
    count = 0
    for i in range(geometry.shape[0]):
        reach = geometry[i, REACH]
        z = geometry[i, CENTRE + 2]
        near, far = z - reach, z + reach
        if near > 0.0:  # bounding sphere
            spread = radius * max(abs(1.0 - near * focus), abs(1.0 - far * focus)) + reach
            limit = spread + math.sqrt(ux * ux + uy * uy) * reach + 1.5 * pixel * far
            if abs(geometry[i, CENTRE] - ux * z) > limit or abs(geometry[i, CENTRE + 1] - uy * z) > limit:
                continue
            if geometry[i, KIND] == RECTANGLE and _outside(geometry, i, ux, uy, pixel, focus, radius):
                continue
        found[count] = i
        count += 1
    return count


@numba.njit(**_JIT)
def _address(geometry, mapping, i, ux, uy, rays, first, count, depth, place):
    """Texture coordinates, 0..1, and shade of primitive i where each ray meets it, into place (3, n) float32."""
    s0, s1, s2, s3 = mapping[i, 0], mapping[i, 1], mapping[i, 2], mapping[i, 3]
    t0, t1, t2, t3 = mapping[i, 4], mapping[i, 5], mapping[i, 6], mapping[i, 7]
    l0, l1 = geometry[i, SHADE], geometry[i, SHADE + 1]
    l2, l3 = geometry[i, SHADE + 2], geometry[i, SHADE + 3]
    for n in range(count):
        z = depth[n]
        x = rays[0, first + n] + z * (ux + rays[2, first + n])
        y = rays[1, first + n] + z * (uy + rays[3, first + n])
        s = s0 * x + s1 * y + s2 * z + s3
        t = t0 * x + t1 * y + t2 * z + t3
        place[0, n] = s - math.floor(s)
        place[1, n] = t - math.floor(t)
        place[2, n] = l0 * x + l1 * y + l2 * z + l3


@numba.njit(inline="always", **_JIT)
def _bilinear(texels, start, stride, height, width, s, t, weight):
    """RGB at (s, t), 0..1 of a level that repeats its first rows and columns behind its last, times `weight`."""
    s, t = s * width, t * height
    x, y = np.int32(s), np.int32(t)
    s, t = s - np.float32(x), t - np.float32(y)
    a = np.uint64(start + y * stride + np.int32(3) * x)  # unsigned: no check for negative indices
    c = a + np.uint64(stride)
    wd = weight * s * t
    wb, wc = weight * s - wd, weight * t - wd
    wa = weight - wb - wc - wd
    b, d, one, two = a + np.uint64(3), c + np.uint64(3), np.uint64(1), np.uint64(2)
    return (wa * texels[a] + wb * texels[b] + wc * texels[c] + wd * texels[d],
            wa * texels[a + one] + wb * texels[b + one] + wc * texels[c + one] + wd * texels[d + one],
            wa * texels[a + two] + wb * texels[b + two] + wc * texels[c + two] + wd * texels[d + two])


@numba.njit(**_JIT)
def _read(texels, levels, i, level, share, owner, j, place, count):
    """Sum of the RGB of texture i over the samples that candidate j owns, between `level` and the next one."""
    red, green, blue = np.float32(0), np.float32(0), np.float32(0)
    for k, part in ((level, np.float32(1.0 - share)), (level + 1, np.float32(share))):
        if part == 0:
            continue
        start, stride = np.int32(levels[i, k, 0]), np.int32(levels[i, k, 1])
        height, width = np.float32(levels[i, k, 2]), np.float32(levels[i, k, 3])
        for n in range(count):
            if owner[n] == j:
                r, g, b = _bilinear(texels, start, stride, height, width, place[0, n], place[1, n], part * place[2, n])
                red, green, blue = red + r, green + g, blue + b
    return red, green, blue


@numba.njit(**_JIT)
def _level(variance, last):
    """Level of a binomial pyramid, and the share of the next one, that blur by `variance` [base texels^2].

    Level l, read bilinearly, has (4^l - 1) / 2 more than level 0: 1 + 4 + .. from its filters, the rest from its tents.
    The share makes the sum of both variances exact.
    """
    level = int(0.5 * math.log2(1.0 + 2.0 * variance))
    if level >= last:
        return last, 0.0
    low, high = (4.0**level - 1.0) / 2.0, (4.0 ** (level + 1) - 1.0) / 2.0
    return level, (variance - low) / (high - low)


@numba.njit(**_JIT)
def _widest(geometry, found, candidates, depth, owner, count, focus):
    """Largest |1 / depth - focus| [dioptre] of the rays that hit something and of the primitives with edges."""
    widest = 0.0
    for n in range(count):
        if owner[n] >= 0:
            widest = max(widest, abs(1.0 / depth[n] - focus))
    for j in range(candidates):
        if geometry[found[j], REACH] < ENDLESS:  # so small that all rays of the probe may have missed it
            widest = max(widest, abs(1.0 / geometry[found[j], CENTRE + 2] - focus))
    return widest


@numba.njit(**_JIT)
def _first(owner, j, count):
    """First sample that candidate j owns, `count` when there is none."""
    for n in range(count):
        if owner[n] == j:
            return n
    return count


@numba.njit(parallel=True, **_JIT)
def gather(geometry, mapping, texels, levels, rays, classes, smoothing, optics, out):
    """Render one image into out (H, W, 3) float32.

    geometry   (P, COLUMNS), mapping (P, 9): the primitives
    texels     flat float32 RGB; levels (P, L, 4) int64: start, row stride, height, width of every pyramid level
    rays       (4, n) float64: of every sample, class after class, its pupil point x, y [m] and the direction x, y
               that its ray has beyond the direction of the pixel
    classes    (C, 2) int64: first ray and number of rays of every class, fewest first
    smoothing  footprint std / spacing of the samples
    optics     fx [px], focus [dioptre], pupil radius [m], area of the (half) pupil / diameter^2
    """
    height, width = out.shape[0], out.shape[1]
    fx, focus, radius, area = optics
    most = classes[-1, 1]
    for row in numba.prange(height):
        found = np.empty(geometry.shape[0], np.int64)
        depth, owner = np.empty(most, np.float64), np.empty(most, np.int64)
        place = np.empty((3, most), np.float32)
        uy = (row - (height - 1) / 2.0) / fx
        for column in range(width):
            ux = (column - (width - 1) / 2.0) / fx
            count = _candidates(geometry, ux, uy, 0.5 / fx, focus, radius, found)
            if count == 0:
                out[row, column] = 0
                continue
            chosen, samples = 0, classes[0, 1]
            while True:
                # the smallest class is the probe; the largest blur that reaches this pixel may ask for another one
                first = classes[chosen, 0]
                depth[:samples] = MISS
                owner[:samples] = -1
                for j in range(count):
                    _meet(geometry, found[j], ux, uy, rays, first, samples, depth, owner, j)
                if chosen > 0:
                    break
                coc = 2.0 * radius * fx * _widest(geometry, found, count, depth, owner, samples, focus)
                edges = count > 1 or geometry[found[0], REACH] < ENDLESS
                last = classes.shape[0] - (1 if edges else 2)
                while chosen < last and classes[chosen, 1] < DENSITY * (area * coc * coc + 1.0):
                    chosen += 1
                if chosen == 0:
                    break
                samples = classes[chosen, 1]
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for j in range(count):
                n = _first(owner, j, samples)
                if n == samples:
                    continue
                i, z = found[j], depth[n]
                coc = 2.0 * radius * fx * (1.0 / z - focus)
                footprint = smoothing * z / (fx * mapping[i, TEXEL])
                level, share = _level(footprint * footprint * (area * coc * coc + 1.0) / samples, levels.shape[1] - 1)
                _address(geometry, mapping, i, ux, uy, rays, first, samples, depth, place)
                r, g, b = _read(texels, levels, i, level, share, owner, j, place, samples)
                red, green, blue = red + r, green + g, blue + b
            out[row, column, 0] = red / samples
            out[row, column, 1] = green / samples
            out[row, column, 2] = blue / samples


@numba.njit(parallel=True, **_JIT)
def chief_depth(geometry, fx, ray, out):
    """Depth [m] that the chief ray of each pixel centre meets, into out (H, W) float64; MISS where there is none.

    ray   (4, 1): its pupil point x, y [m], and the direction x, y that it has beyond that of the pixel
    """
    height, width = out.shape
    for row in numba.prange(height):
        uy = (row - (height - 1) / 2.0) / fx
        owner = np.empty(1, np.int64)
        for column in range(width):
            ux = (column - (width - 1) / 2.0) / fx
            out[row, column] = MISS
            for i in range(geometry.shape[0]):
                _meet(geometry, i, ux, uy, ray, 0, 1, out[row, column:column + 1], owner, 0)
