"""The text of a capture.toml that dfd writes itself: with it the capture is as exact as its optics are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfd.noise import Noise
from dfd.settings import CameraSettings

_CAMERA = (("focal_length", "focal_length_mm", 1e3), ("pixel_pitch", "pixel_pitch_um", 1e6),
           ("image_distance", "image_distance_mm", 1e3))
_FRAME = (("focus_distance", "focus_distance_m", 1), ("power", "power_dpt", 1), ("f_number", "f_number", 1),
          ("pupil_diameter", "pupil_diameter_mm", 1e3), ("exposure", "exposure_s", 1), ("iso", "iso", 1),
          ("focus_coordinate", "focus_coordinate", 1))


@dataclass(frozen=True)
class CaptureText:
    """A capture.toml.

    kind, names, settings   capture kind, file names, and CameraSettings of at least as many frames
    reference   frame whose grid the maps have;   remarks   comments at the top, a line each
    linear      pixel values are proportional to light;   levels   more lines for [camera]
    side, kappa, views, roles   as in the file, None where the kind has none
    noise       Noise of the frames, whose files hold `dn_range` from black to white; None: not stated
    """

    kind: str
    names: Sequence[str]
    settings: Sequence[CameraSettings]
    reference: int = 0
    remarks: Sequence[str] = ()
    linear: bool = True
    levels: Sequence[str] = ()
    side: str | None = None
    kappa: float | None = None
    views: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    noise: Noise | None = None
    dn_range: float = 1.0

    def __str__(self):
        lines = [*(f"# {remark}" for remark in self.remarks), f'kind = "{self.kind}"', 'distance_from = "pupil"']
        if self.side:
            lines.append(f'side = "{self.side}"')
        lines += ["", "[camera]", *self._camera()]
        for index, name in enumerate(self.names):
            lines += ["", "[[frames]]", f'file = "{name}"', *self._frame(index)]
        return "\n".join(lines) + "\n"

    def _camera(self) -> Iterator[str]:
        settings = self.settings[self.reference]
        yield from _numbers(settings, _CAMERA)
        yield f"linear = {'true' if self.linear else 'false'}"
        yield from self.levels
        if settings.pixel_pitch is not None:
            yield 'psf = "disk"'
        if self.kappa:
            yield f"kappa = {_number(self.kappa)}"
        if self.noise:
            yield f"gain_e_per_dn = {_number(self.noise.gain / self.dn_range)}"
            yield f"read_noise_e = {_number(self.noise.read_noise)}"

    def _frame(self, index) -> Iterator[str]:
        yield from _numbers(self.settings[index], _FRAME)
        if index == self.reference:
            yield "reference = true"
        if self.views:
            yield f'view = "{self.views[index]}"'
        if self.roles:
            yield f'role = "{self.roles[index]}"'


def _numbers(settings, rows) -> Iterator[str]:
    for name, key, scale in rows:
        if getattr(settings, name):
            yield f"{key} = {_number(getattr(settings, name).value * scale)}"


def _number(value: float) -> str:
    """Shortest decimal text that reads back as the same float, to 12 digits so that 50.000000000000007 is 50."""
    return repr(float(f"{value:.12g}"))
