"""A depth map: values, their 1-sigma, and an honest name for what they are.  NaN, and NaN alone, means unknown."""

from __future__ import annotations

import os
import secrets
import zlib
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dfd.backend import array_module, to_numpy
from dfd.capture import SCALES

_OPEN = 0.05
"""Factor of the confidence of a depth that may be infinite."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """(H, W) float32 `values` and `sigma` in the unit of `scale`.

    metric   inverse depth [dioptre] from the entrance pupil; `.depth` and `.depth_sigma` give metres
    stage    position on the rail at which the point is in focus [m]
    steps    frame index, fractional;  affine   px, positive = nearer than focus: of the disparity of the views by
             solver disparity, else of signed coc; they differ by the factor kappa
    method   the name of the solver
    picture  (H, W) float32 sharp image, of a solver that restores it with the depth, in the images' brightness, NaN = no
             data; None otherwise
    Raises ValueError when shapes differ, sigma is negative, or the scale is unknown; TypeError for another dtype.
    """

    values: np.ndarray
    sigma: np.ndarray
    scale: str
    method: str = ""
    picture: np.ndarray | None = None

    def __post_init__(self):
        xp = array_module(self.values, self.sigma)
        for name in ("values", "sigma"):
            array = getattr(self, name)
            if str(array.dtype) != "float32":
                raise TypeError(f"{name} ({array.dtype}) of a depth map must be float32")
        if self.values.ndim != 2 or self.values.shape != self.sigma.shape:
            raise ValueError(f"values {tuple(self.values.shape)} and sigma {tuple(self.sigma.shape)} must be two equal "
                             "(H, W) maps")
        if self.picture is not None and self.picture.shape != self.values.shape:
            raise ValueError(f"picture {tuple(self.picture.shape)} of a depth map must have the size of its values "
                             f"{tuple(self.values.shape)}")
        if self.scale not in SCALES:
            raise ValueError(f"scale ({self.scale!r}) must be one of {', '.join(SCALES)}")
        if bool(xp.any(self.sigma < 0)):
            raise ValueError("sigma must be zero or positive where it is known, and NaN elsewhere")
        if xp is np:
            for name in ("values", "sigma"):
                frozen = getattr(self, name).view()
                frozen.flags.writeable = False
                object.__setattr__(self, name, frozen)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return tuple(self.values.shape)

    @property
    def unit(self) -> str:
        """Unit of values and sigma."""
        return SCALES[self.scale]

    @property
    def valid(self):
        """(H, W) bool: a value is known here."""
        return array_module(self.values).isfinite(self.values)

    @property
    def inverse_depth(self):
        """(H, W) float32 dioptres from the entrance pupil.  Raises ValueError unless the scale is metric."""
        self._need_metric("inverse_depth")
        return self.values

    @property
    def depth(self):
        """(H, W) float32 metres along the optical axis from the entrance pupil; a value at or below 0 dioptre is inf.

        Raises ValueError unless the scale is metric.
        """
        self._need_metric("depth")
        xp = array_module(self.values)
        with np.errstate(divide="ignore"):
            return xp.where(self.values <= 0, xp.float32(np.inf), 1 / self.values).astype(np.float32)

    @property
    def depth_sigma(self):
        """(H, W) float32 metres: half the interval between the depths at inverse_depth +- sigma; inf where it is open.

        Raises ValueError unless the scale is metric.
        """
        self._need_metric("depth_sigma")
        xp = array_module(self.values)
        near, far = self.values + self.sigma, self.values - self.sigma
        with np.errstate(divide="ignore", invalid="ignore"):
            half = (1 / far - 1 / near) / 2
        return xp.where(far <= 0, xp.float32(np.inf), half).astype(np.float32)

    @property
    def confidence(self):
        """(H, W) float32 in 0..1: s0^2 / (s0^2 + sigma^2), s0 the median sigma; 0 where unknown. Monotone in sigma."""
        xp = array_module(self.values)
        known = self.valid & xp.isfinite(self.sigma)
        if not bool(known.any()):
            return xp.zeros(self.shape, dtype=np.float32)
        typical = xp.maximum(xp.median(self.sigma[known]), np.float32(1e-30))
        ratio = xp.where(known, self.sigma, 0) / typical
        return xp.where(known, 1 / (1 + ratio**2), 0).astype(np.float32)

    @property
    def trust(self):
        """(H, W) float32 in 0..1: `confidence`, in a metric map as confidence in metres.

        It is multiplied by value / sigma - 1, within 0.05 and 1: it falls from 2 sigma off infinity to where `depth_sigma`
        is infinite, for "somewhere far off" may be sure in dioptres, and is little in metres.
        """
        if self.scale != "metric":
            return self.confidence
        xp = array_module(self.values)
        known = self.valid & xp.isfinite(self.sigma)
        off = xp.where(known, self.values, 1) / xp.maximum(xp.where(known, self.sigma, 1), np.float32(1e-30))
        return (self.confidence * xp.clip(off - 1, _OPEN, 1)).astype(np.float32)

    def keep(self, mask) -> DepthMap:
        """A copy that is unknown (NaN) where `mask`, (H, W) bool on the same device, is False."""
        if tuple(mask.shape) != self.shape:
            raise ValueError(f"mask {tuple(mask.shape)} must have the size of the depth map {self.shape}")
        xp = array_module(self.values, mask)
        unknown = xp.float32(np.nan)
        return replace(self, values=xp.where(mask, self.values, unknown), sigma=xp.where(mask, self.sigma, unknown))

    def numpy(self) -> DepthMap:
        """The same map with NumPy arrays."""
        picture = None if self.picture is None else to_numpy(self.picture)
        return replace(self, values=to_numpy(self.values), sigma=to_numpy(self.sigma), picture=picture)

    def save(self, path) -> None:
        """Write values, sigma, scale, method and a picture to a NumPy .npz file; it is complete or not there.  Raises
        OSError."""
        path, picture = Path(path), {} if self.picture is None else {"picture": to_numpy(self.picture)}
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            with open(temporary, "xb") as file:
                np.savez_compressed(file, values=to_numpy(self.values), sigma=to_numpy(self.sigma), scale=self.scale,
                                    method=self.method, **picture)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path) -> DepthMap:
        """Read a file that `save` wrote.  Raises OSError when it is not one."""
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                return cls(stored["values"], stored["sigma"], str(stored["scale"]), str(stored["method"]),
                           stored.get("picture"))
        except (KeyError, ValueError, TypeError, AttributeError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
            raise OSError(f"{path}: not a depth map saved by DepthMap.save; the file is cut or of another kind") from error

    def _need_metric(self, name):
        if self.scale != "metric":
            raise ValueError(f"{name} needs a metric result, this one has scale {self.scale} [{self.unit}]; read "
                             ".values, or give focus_distance_m, focal_length_mm, f_number and pixel_pitch_um "
                             "of the frames")

    def __repr__(self):
        height, width = self.shape
        return f"DepthMap({width} x {height} px, scale {self.scale} [{self.unit}], method {self.method!r})"

    def _repr_html_(self):
        host = self.numpy()
        known = host.values[host.valid]
        middle = f"{np.median(known):.5g}" if known.size else "-"
        spread = f"{np.nanmedian(host.sigma):.3g}" if known.size else "-"
        rows = (("known", f"{known.size / host.values.size:.1%}"), (f"median [{self.unit}]", middle),
                (f"median sigma [{self.unit}]", spread), ("method", self.method))
        cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        return f"<p>{escape(repr(self))}</p><table>{cells}</table>"
