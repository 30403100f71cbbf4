"""Whether the views of a light field run the way they are said to: every view warped to the reference by the disparity.

    views[k](y - d v_k, x - d u_k) = views[reference](y, x)

A reader may have u, v or the disparity the wrong way round; then another choice of signs explains the views better.  With
the right one the views of HCI's antinous agree to .006 to .011 of white, with a wrong one to .03 to .04 (8-bit codes).
Without a known disparity one is estimated from the views in the row of the reference, which tells u against v, but not both
together: reversing both is the same as reversing the disparity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfd.imaging import box_mean
from dfd.lightfield.maps import need_host

SIGNS = {"": (1, 1), "u": (-1, 1), "v": (1, -1), "uv": (-1, -1)}
"""What is reversed -> the factors of u and v."""

_CLEAR = 0.8
"""Error of another choice of signs, as a share of that of the stated one, below which the stated one is wrong."""

_MOST_VIEWS, _MOST_PIXELS = 8, 40_000
_DISPLAY = 1 / 2.2
_MOST_STEPS, _LABEL, _WINDOW, _UNSEEN = 3.0, 0.25, 7, 0.1  # px per view step, px per view step, samples, of white
_WORDS = {"u": "u (right) reversed", "v": "v (down) reversed", "uv": "u and v reversed"}


@dataclass(frozen=True)
class SignCheck:
    """errors   what is reversed ("", "u", "v", "uv") -> mean |difference| to the reference view, of brightness 0..1 as
    displayed; None for a choice that cannot be told
    estimated   the disparity was estimated from the views;   reversed   "" where the stated signs fit, else what to reverse
    """

    errors: dict[str, float | None]
    estimated: bool
    reversed: str

    @property
    def advice(self) -> str:
        """One line that names the fix; "" where nothing is wrong."""
        if not self.reversed:
            return ""
        figures = (f"mean error {self.errors[self.reversed]:.3f} of white instead of {self.errors['']:.3f}; read it with "
                   f"flip={self.reversed!r} (--flip {self.reversed})")
        if self.estimated:
            return (f"the views fit v (down) reversed against u better: {figures}, or with 'u' where near and far then "
                    "change places")
        also = " or, where the views are right, reverse the sign of its disparity" if self.reversed == "uv" else ""
        return f"the views fit {_WORDS[self.reversed]} better: {figures}{also}"


def check_signs(lightfield) -> SignCheck:
    """Warp the outermost views by the known disparity, else by one estimated from the middle row, by every choice of signs.

    A light field without parallax, or without views outside the middle row, says nothing: `reversed` is then "".
    Raises TypeError for one on the GPU.
    """
    need_host("check_signs", lightfield.views)
    rows, columns = _samples(lightfield.shape)
    seen = _Brightness(lightfield, rows, columns)
    estimated = lightfield.disparity is None
    disparity = _estimate(seen) if estimated else lightfield.disparity[rows, columns]
    if disparity is None:
        return SignCheck(dict.fromkeys(SIGNS), estimated, "")
    errors = {name: _error(seen, disparity, *signs) for name, signs in SIGNS.items()}
    if estimated:  # the estimate has the stated sign of u: what reverses u contradicts it, whatever the truth
        errors |= {"u": None, "uv": None}
    told = {name: error for name, error in errors.items() if error is not None}
    best = min(told, key=told.get) if told else ""
    return SignCheck(errors, estimated, best if best and told[best] < _CLEAR * told[""] else "")


def _samples(shape):
    """(rows, columns) of a grid of at most _MOST_PIXELS places of the picture."""
    step = max(1, round(np.sqrt(shape[0] * shape[1] / _MOST_PIXELS)))
    return np.mgrid[:shape[0]:step, :shape[1]:step]


class _Brightness:
    """The views of a light field as displayed brightness, read at places of the reference view."""

    def __init__(self, field, rows, columns):
        self.field, self.rows, self.columns = field, rows, columns
        self.reference = self.view(field.reference)[rows, columns]

    def view(self, index):
        """(H, W) float32."""
        return np.maximum(self.field.grey[index], 0) ** np.float32(_DISPLAY)

    def warped(self, view, down, right):
        """(values, inside): a view read bilinearly `down` and `right` px away; NaN and what is outside is not inside."""
        height, width = view.shape
        y, x = self.rows + down, self.columns + right
        with np.errstate(invalid="ignore"):
            inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        top, left = np.clip(y.astype(int), 0, max(height - 2, 0)), np.clip(x.astype(int), 0, max(width - 2, 0))
        dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
        below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
        upper = (1 - dx) * view[top, left] + dx * view[top, beside]
        lower = (1 - dx) * view[below, left] + dx * view[below, beside]
        return (1 - dy) * upper + dy * lower, inside


def _error(seen, disparity, right, down):
    """Mean |warped view - reference| over the outermost views, None where nothing overlaps."""
    field, errors = seen.field, []
    radius = np.hypot(field.u, field.v)
    for index in np.argsort(-radius, kind="stable")[:_MOST_VIEWS]:
        if radius[index] == 0:
            continue
        values, inside = seen.warped(seen.view(index), -down * field.v[index] * disparity,
                                     -right * field.u[index] * disparity)
        if inside.any():
            errors.append(np.abs(values - seen.reference)[inside].mean())
    return float(np.mean(errors)) if errors else None


def _estimate(seen):
    """Disparity at the samples, of least difference over the views in the row of the reference, in steps of a quarter px;
    None where the views do not differ in both directions."""
    field = seen.field
    row = sorted((index for index in range(len(field)) if abs(field.v[index]) < 0.5 and field.u[index] != 0),
                 key=lambda index: abs(field.u[index]))[:4]
    if not row or all(abs(v) < 0.5 for v in field.v):
        return None
    views = [(field.u[index], seen.view(index)) for index in row]
    labels = np.arange(-_MOST_STEPS, _MOST_STEPS + _LABEL / 2, _LABEL)
    costs = []
    for label in labels:
        cost = np.zeros(seen.rows.shape, np.float32)
        for u, view in views:
            values, inside = seen.warped(view, 0.0, -label * u)
            cost += np.where(inside, np.abs(values - seen.reference), np.float32(_UNSEEN))
        costs.append(box_mean(cost, _WINDOW))
    return labels[np.argmin(costs, axis=0)]
