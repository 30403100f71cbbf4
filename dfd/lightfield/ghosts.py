"""When views show one by one: the guard of shift and add, and how many views would do.

Relative RMS error of n views across a disk against the continuous one, motion between neighbours in px: 0.5 % at 0.5 px, 2 %
at 1 px, 28 % at 2 px.  What is left are copies of every edge, which a focus measure takes for texture.
"""

from __future__ import annotations

import math

from dfd.lightfield.densify import MOST_BYTES

GUARD = 1.0
"""Motion between neighbouring views [px] above which they show as ghosts."""

_AIM = 0.5
"""Motion that views are synthesised for [px]."""


def ghosts(lightfield, step: float, *, call: str = "densify({})", otherwise: str = "") -> str | None:
    """One line about a motion of `step` px between neighbouring views that is too large, None where it is not.

    call   how views are synthesised, {} their number to a side;   otherwise   what else would help, in words
    """
    if step <= GUARD:
        return None
    count, made = enough_views(lightfield, step)
    size = 4.0 * count**2 * math.prod(lightfield.views.shape[1:])
    unit, name = (1e9, "GB") if size >= 1e9 else (1e6, "MB")
    cost = f"{float(f'{size / unit:.2g}'):g} {name}"
    said = (f"points move up to {step:.3g} px between neighbouring views (at most {GUARD:g} px without ghosts that look "
            "like texture)")
    if made >= step:
        return f"{said}; more views do not fit into {MOST_BYTES / 1e9:g} GB, keep to a smaller range or part of the picture"
    return f"{said}; {call.format(count)} makes it {made:.2g} px with {count**2} views, {cost}{otherwise}"


def enough_views(lightfield, step: float) -> tuple[int, float]:
    """(count, motion): the odd number of views to a side that brings a motion of `step` px down to half a px, or the
    largest that memory allows, and the motion [px] that it leaves."""
    width = lightfield.extent / lightfield.spacing
    most = math.isqrt(int(MOST_BYTES / (4 * math.prod(lightfield.views.shape[1:]))))
    needed = math.ceil(width * step / _AIM * (1 - 1e-9)) | 1
    count = min(needed, most - (most + 1) % 2)
    return count, step * width / max(count, 1)
