"""Transfer functions for a search: worked out once per half pixel of coc and interpolated in between.

Cubic through values and slopes of both ends (Hermite): within 1e-4 of the exact value and 1e-3 per px of its slope, and a
search looks at many thousand circles of confusion.
"""

from __future__ import annotations

import numpy as np

from dfd.bound import planning_grid
from dfd.psf import Psf

_STEP = 0.5


class Responses:
    """(views, inverse_depth) -> (K, 24, 24) h and dh/dq on the planning grid of a texture, for `bound.expected_sigma`.

    One PSF core serves all views; a half pupil seen from the right is that from the left, conjugate.
    """

    def __init__(self, texture, core: float):
        self._grid = planning_grid(texture)[:2]
        self._core = core
        self._nodes: dict = {}

    def __call__(self, views, inverse_depth: float):
        """Both stacks at `inverse_depth` [dioptre]; dh/dq per dioptre."""
        cocs = np.array([view.lens.coc(inverse_depth) for view in views])
        rates = np.array([view.lens.blur_rate for view in views])
        models = [view.psf.model for view in views]
        place = np.abs(cocs) / _STEP
        lower = place.astype(int)
        ends = [self._node(model, index + step) for step in (0, 1) for model, index in zip(models, lower, strict=True)]
        count = len(views)
        values, slopes = (np.stack([end[part] for end in ends]) for part in (0, 1))
        t = (place - lower)[:, None, None]
        (start, end), (rise, last) = ((part[:count], part[count:]) for part in (values, _STEP * slopes))
        h = start + t * (rise + t * (3 * (end - start) - 2 * rise - last + t * (2 * (start - end) + rise + last)))
        slope = (rise + t * (2 * (3 * (end - start) - 2 * rise - last) + 3 * t * (2 * (start - end) + rise + last))) / _STEP
        turned = np.where(cocs < 0, -1.0, 1.0)
        if np.iscomplexobj(h):
            mirrored = np.array([model == "half-right" for model in models]) ^ (cocs < 0)
            h, slope = (np.where(mirrored[:, None, None], part.conj(), part) for part in (h, slope))
        return h, slope * (turned * rates)[:, None, None]

    def _node(self, model, index):
        """(otf, slope) of a view at index * _STEP px of coc, the square pixel included."""
        model = "half-left" if model == "half-right" else model
        if (model, index) not in self._nodes:
            wy, wx = self._grid
            pixel = np.sinc(wy / (2 * np.pi)) * np.sinc(wx / (2 * np.pi))
            psf = Psf(model, self._core)
            self._nodes[model, index] = tuple(part(index * _STEP, wy, wx) * pixel for part in (psf.otf, psf.otf_slope))
        return self._nodes[model, index]
