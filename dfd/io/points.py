"""Point clouds: every known pixel as a coloured point in camera coordinates, x right, y down, z forward, metres.

PLY 1.0 (Turk 1994), binary little-endian, straight from the maps, a band of rows at a time.
"""

from __future__ import annotations

import numpy as np

_VERTEX = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
_MID_GREY = 128
_ROWS = 256
"""Rows that are turned into points at a time."""


def back_project(depth, intrinsics):
    """x, y, z, each (H, W) float32 metres, NaN or infinite where depth is.

    depth        (H, W) metres along the optical axis from the entrance pupil, the centre of projection
    intrinsics   (fx, fy, cx, cy) in px; pixel centres are integers, so an unshifted sensor has cx = (W - 1) / 2
    Pinhole: x = (column - cx) z / fx, y = (row - cy) z / fy.
    """
    fx, fy, cx, cy = intrinsics
    height, width = depth.shape
    z = np.asarray(depth, dtype=np.float32)
    x = ((np.arange(width) - cx) / fx).astype(np.float32)[None, :] * z
    y = ((np.arange(height) - cy) / fy).astype(np.float32)[:, None] * z
    return x, y, z


def write_cloud(path, depth, colours, intrinsics, *, offset: float = 0.0) -> int:
    """Write the pixels of finite depth, in reading order, as a PLY file; returns the number of points.

    colours   (H, W, 3) uint8 sRGB, or None for mid grey
    offset    metres added to z at the end: the distance from the entrance pupil to the origin that was chosen
    Other arguments as in `back_project`.
    """
    count = sum(int(np.count_nonzero(np.isfinite(rows))) for rows in depth)
    kinds = {"<f4": "float", "|u1": "uchar"}
    lines = [f"property {kinds[kind.str]} {name}" for name, (kind, _) in _VERTEX.fields.items()]
    header = "\n".join(["ply", "format binary_little_endian 1.0", "comment dfd: metres, x right, y down, z forward",
                        f"element vertex {count}", *lines, "end_header\n"])
    fx, fy, cx, cy = intrinsics
    with open(path, "wb") as file:
        file.write(header.encode("ascii"))
        for top in range(0, len(depth), _ROWS):
            rows = slice(top, top + _ROWS)
            points = _points(depth[rows], None if colours is None else colours[rows], (fx, fy, cx, cy - top))
            points["z"] += np.float32(offset)
            points.tofile(file)
    return count


def _points(depth, colours, intrinsics):
    """The pixels of finite depth as an array of vertices."""
    known = np.isfinite(depth)
    points = np.empty(np.count_nonzero(known), dtype=_VERTEX)
    for name, values in zip("xyz", back_project(depth, intrinsics), strict=True):
        points[name] = values[known]
    for channel, name in enumerate(("red", "green", "blue")):
        points[name] = _MID_GREY if colours is None else colours[..., channel][known]
    return points
