"""The Gaussian core of the PSF from brackets: the width of edges where the disc is small, less what the disc adds.

A bracket spans best focus in steps of several px of blur, so that hardly a frame is at focus.  The blur of an edge on both
sides is a straight line in the focus coordinate, sign included; it says how large the disc is in the sharp frames between,

    core^2 = width^2 - coc^2 / 16            width   std [px] of a Gaussian that fits the edge; |coc| up to 4 px
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

FIRST = 0.7
"""Core [px] that blur is measured with before the true one is known; the line's zero does not depend on it."""

FAR = (4.0, 25.0)
"""Blur [px] of the frames that the line goes through."""

MOST = 4.0
"""Blur [px] up to which a disc widens an edge like a Gaussian of its second moment."""

_LINE_ERROR = 0.15  # px of coc that a frame may be off the line: jitter of the lens
_LEAST = 12


@dataclass(frozen=True, eq=False)
class Bracket:
    """Edges of one bracket over its frames: coordinate (n,), coc (n, E) px of the far frames, NaN elsewhere, width and
    width_sigma (n, E) px of the sharp ones, NaN elsewhere."""

    coordinate: np.ndarray
    coc: np.ndarray
    width: np.ndarray
    width_sigma: np.ndarray


def measure_core(brackets: list[Bracket]) -> tuple[float, float]:
    """(core, 1-sigma) [px] of all brackets together.  Raises ValueError where too few edges were sharp in any frame."""
    squares, sigmas = [], []
    for bracket in brackets:
        for edge in range(bracket.coc.shape[1]):
            found = _edge(bracket, edge)
            if found is not None:
                squares.append(found[0])
                sigmas.append(found[1])
    values, sigma = (np.concatenate(parts) if parts else np.empty(0) for parts in (squares, sigmas))
    if len(values) < _LEAST:
        raise ValueError(f"the sharpness of the lens is unknown: {len(values)} edges have less than {MOST:g} px of blur in "
                         f"a frame and frames on both sides of it, at least {_LEAST} are needed; take finer steps around "
                         "best focus")
    weight, centre = 1 / sigma**2, float(np.median(values))
    for _ in range(20):
        off = np.abs(values - centre) / sigma
        scale = max(1.0, 1.4826 * float(np.median(off)))
        robust = weight * np.minimum(1, 2 * scale / np.maximum(off, 1e-12))
        centre = float(np.sum(robust * values) / np.sum(robust))
    if centre <= 0:
        raise ValueError("the sharpest edges are narrower than a pixel's own blur; are the files sharpened? give RAW files")
    core = math.sqrt(centre)
    return core, scale / math.sqrt(np.sum(weight)) / (2 * core)


def _edge(bracket, edge):
    """(core^2, sigma) of one edge in its sharp frames; None where its line is not known."""
    s, blur = bracket.coordinate, bracket.coc[:, edge]
    far = np.isfinite(blur) & (blur >= FAR[0]) & (blur <= FAR[1])
    line = _line(s[far], blur[far])
    if line is None:
        return None
    coc = np.polyval(line, s)
    width, sigma = bracket.width[:, edge], bracket.width_sigma[:, edge]
    sharp = np.isfinite(width) & (np.abs(coc) < MOST)
    if not sharp.any():
        return None
    square = width[sharp] ** 2 - coc[sharp] ** 2 / 16
    return square, np.hypot(2 * width[sharp] * np.maximum(sigma[sharp], 0.003), np.abs(coc[sharp]) * _LINE_ERROR / 8 + 1e-3)


def _line(s, blur):
    """(slope, offset) of signed blur over the coordinate; None without two places on either side of the minimum."""
    best = None
    order = np.argsort(s, kind="stable")
    s, blur = s[order], blur[order]
    for split in range(2, len(s) - 1):
        if not s[0] < s[split - 1] < s[split] < s[-1]:
            continue
        signed, off = np.where(np.arange(len(s)) < split, -blur, blur), s - s.mean()
        slope = float(np.sum(off * signed) / np.sum(off**2))
        line = slope, float(signed.mean()) - slope * float(s.mean())
        error = float(np.sqrt(np.mean((np.polyval(line, s) - signed) ** 2)))
        if line[0] > 0 and (best is None or error < best[0]):
            best = error, line
    return best[1] if best is not None and best[0] < 0.5 + 0.05 * float(np.max(blur)) else None
