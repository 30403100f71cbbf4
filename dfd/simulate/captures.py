"""Simulated captures of every kind: lenses, noise-free radiance, what the camera would say, and the exact truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dfd.capture import CAPTURES, Capture, View
from dfd.noise import Noise, expose
from dfd.optics import ThinLens
from dfd.psf import IDEAL_KAPPA, Psf
from dfd.settings import CameraSettings, Value
from dfd.simulate.presets import PRESETS, Preset
from dfd.simulate.pupil import FINE_SAMPLES, SAMPLES
from dfd.simulate.render import render, true_inverse_depth
from dfd.simulate.scenes import Scene, make_scene

READ_NOISE = 3.0
"""Electrons rms of every simulated sensor that has noise."""

NOISE_FREE = Noise(gain=1e8, read_noise=0.0)
"""What the views of a capture without noise state: 1e-4 of white, far below every real sensor."""

_BASE_EXPOSURE = 0.01
_MOST_MP = 100
"""Largest image: each of its frames takes 12 bytes per pixel of memory, and rays are traced for minutes per frame."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """K images of one scene without noise, and everything that is known of them.

    kind        capture kind, as in capture.toml
    scene       the Scene
    preset      name in PRESETS
    radiance    (K, H, W, 3) float32 linear, 0..1, without noise
    lenses      K ThinLens
    settings    K CameraSettings: what the camera says
    pupils      K of "full", "left", "right"
    names       K file stems
    registered  True when every frame was rendered in the reference's pixel grid, False when frames breathe
    reference   index of the frame whose pixel grid the truth has
    truth       (H, W) float32 dioptres from the entrance pupil
    noise       Noise of one colour channel, None = noise-free
    seed        of the scene and of the noise
    side, kappa, roles   aperture pair: "near" or "far"; dual pixel: disparity / coc; quad: role of each frame
    """

    kind: str
    scene: Scene
    preset: str
    radiance: np.ndarray
    lenses: tuple[ThinLens, ...]
    settings: tuple[CameraSettings, ...]
    pupils: tuple[str, ...]
    names: tuple[str, ...]
    registered: bool
    reference: int
    truth: np.ndarray
    noise: Noise | None
    seed: int
    side: str | None = None
    kappa: float | None = None
    roles: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) px."""
        return self.truth.shape

    def planes(self, index: int) -> np.ndarray:
        """(H, W, 3) float32 RGB of frame `index` with noise, unclipped: a sensor with three full channels."""
        return self._exposed(self.radiance[index], index, 0)

    def mosaic(self, index: int) -> np.ndarray:
        """(H, W) float32 RGGB mosaic of frame `index`, with noise after mosaicking, unclipped."""
        return self._exposed(_bayer(self.radiance[index]), index, 1)

    def half_mosaics(self) -> tuple[np.ndarray, np.ndarray]:
        """(main, sub) (H, W) float32 RGGB mosaics as a dual-pixel sensor reads them, with noise, unclipped.

        main sees both halves of the pupil, 1 = white; sub the left one, half as bright.  The electrons of sub are counted
        in main as well; each readout has its own read noise.  Raises ValueError for another kind than dual-pixel.
        """
        if self.kind != "dual-pixel":
            raise ValueError(f"a {self.kind} has no half pixels; simulate kind dual-pixel")
        left, right = (_bayer(image) / 2 for image in self.radiance)
        if self.noise is None:
            return left + right, left
        generator = np.random.default_rng([self.seed, 2, 3])
        left, right = (expose(half, replace(self.noise, read_noise=0.0), generator) for half in (left, right))
        read = np.float32(self.noise.read_noise / self.noise.gain)
        return tuple(light + read * generator.standard_normal(light.shape, dtype=np.float32)
                     for light in (left + right, left))

    def luminance(self, index: int) -> np.ndarray:
        """(H, W) float32 (R + 2 G + B) / 4 of frame `index` as a monochrome sensor with this noise sees it."""
        return self._exposed(self.radiance[index] @ np.array([0.25, 0.5, 0.25], np.float32), index, 2)

    def capture(self) -> Capture:
        """The monochrome capture in memory, of the class that belongs to `kind`, with exact optics and noise.

        Frames must share the reference's pixel grid: simulate with registered=True.  Raises ValueError otherwise.
        """
        reference = self.lenses[self.reference]
        if any(not math.isclose(lens.fx, reference.fx, rel_tol=1e-9) for lens in self.lenses):
            raise ValueError(f"the {len(self.lenses)} frames have different scales (breathing); simulate them with "
                             "registered=True to get a capture in one pixel grid")
        images = np.stack([self.luminance(index) for index in range(len(self.lenses))])
        halves = {"full": "disk", "left": "half-left", "right": "half-right"}
        views = tuple(View(lens, Psf(halves[pupil]), self.noise or NOISE_FREE, lens.focus)
                      for lens, pupil in zip(self.lenses, self.pupils, strict=True))
        extra = {"side": self.side} if self.kind == "aperture-pair" else {}
        extra |= {"kappa": self.kappa} if self.kind == "dual-pixel" else {}
        return CAPTURES[self.kind](images, views, **extra)

    def _exposed(self, image, index, stream):
        if self.noise is None:
            return image
        return expose(image, self.noise, np.random.default_rng([self.seed, 2, stream, index]))


def _bayer(colour):
    """(H, W) RGGB mosaic of an (H, W, 3) picture."""
    raw = colour[..., 1].copy()
    raw[0::2, 0::2] = colour[0::2, 0::2, 0]
    raw[1::2, 1::2] = colour[1::2, 1::2, 2]
    return raw


@dataclass(frozen=True)
class _Shot:
    """One frame to take: its lens, the half of the pupil, its name and its role."""

    lens: ThinLens
    name: str
    pupil: str = "full"
    role: str | None = None


def _focal_stack(preset: Preset, frames):
    frames = 16 if frames is None else frames
    shares = np.linspace(1, 0, frames)
    return [_Shot(preset.lens(preset.distance(share)), f"frame_{i:02d}") for i, share in enumerate(shares)]


def _aperture_pair(preset, frames):
    near = preset.distance(1.05)
    narrow = preset.f_number * 2.75
    return [_Shot(preset.lens(near), "wide"), _Shot(preset.lens(near, f_number=narrow), "narrow")]


def _dual_pixel(preset, frames):
    lens = preset.lens(preset.distance(0.5))
    return [_Shot(lens, "left", "left"), _Shot(lens, "right", "right")]


def _differential_quad(preset, frames):
    middle = preset.rest
    step, stop = 0.036 * (1 / preset.near - 1 / preset.far), 0.4  # of cod 0.06 dioptre and 2 of 5 mm, as published

    def lens(power, pupil):
        return ThinLens(1 / (middle.power + power), middle.pupil_diameter * (1 + pupil), middle.image_distance,
                        middle.pixel_pitch)

    return [_Shot(lens(-step, 0), "power_minus", role="power-minus"),
            _Shot(lens(step, 0), "power_plus", role="power-plus"),
            _Shot(lens(0, -stop), "aperture_minus", role="aperture-minus"),
            _Shot(lens(0, stop), "aperture_plus", role="aperture-plus")]


def _views(preset, frames):
    shares, stops = (0.9, 0.5, 0.1, 0.5), (1.0, 1.0, 1.0, 2.0)
    return [_Shot(preset.lens(preset.distance(share), f_number=preset.f_number * stop), f"view_{i}")
            for i, (share, stop) in enumerate(zip(shares, stops, strict=True))]


SHOTS: dict[str, Callable] = {
    "focal-stack": _focal_stack,
    "aperture-pair": _aperture_pair,
    "dual-pixel": _dual_pixel,
    "differential-quad": _differential_quad,
    "views": _views,
}
"""The frames that each kind of capture takes."""

DEFAULT_PRESETS = {
    "focal-stack": "50mm-f2.8",
    "aperture-pair": "50mm-f4-12um",
    "dual-pixel": "50mm-f4-12um",
    "differential-quad": "cod",
    "views": "50mm-f4-12um",
}
"""The camera that suits each kind: one with a blur that the kind can use over its whole range."""

FINELY = "aperture-pair", "differential-quad"
"""Kinds whose depth is a small difference of wide blurs: SAMPLES put a plane off by .6 and by 1.5 sigma of `likelihood`."""


def simulate_capture(kind=None, *, scene="demo", preset=None, size=(400, 600), noise=20000.0, seed=0,
                     frames=None, registered=False, samples=None, progress=None) -> Simulation:
    """Render a capture of `kind` of a seeded scene.

    kind         one of SHOTS; None = what the preset is for, without one a focal stack
    scene        name in SCENES;  preset: name in PRESETS, None = DEFAULT_PRESETS;  size: (H, W) px
    noise        electrons at white level, with READ_NOISE electrons of read noise; 0 = noise-free
    frames       number of frames of a focal stack, evenly spaced in dioptres from near to far; 16 when None
    registered   True renders every frame in the reference's pixel grid, as after perfect registration
    samples      see `render`; None = FINE_SAMPLES for the kinds of FINELY, else SAMPLES
    Raises ValueError for unknown names or impossible numbers.
    """
    kind, preset = _paired(kind, preset)
    _check(size, noise, kind, frames)
    camera = PRESETS[preset]
    shots = SHOTS[kind](camera, frames)
    reference = len(shots) // 2 if kind == "focal-stack" else 0
    lenses = [shot.lens for shot in shots]
    if registered:
        lenses = [lens.on_grid_of(lenses[reference]) for lens in lenses]
    world = make_scene(scene, seed=seed, nearest=camera.near, farthest=camera.far, shape=size, fx=lenses[reference].fx)
    pupils = tuple(shot.pupil for shot in shots)
    samples = samples or (FINE_SAMPLES if kind in FINELY else SAMPLES)
    radiance = render(world, lenses, size, pupils=pupils, samples=samples, progress=progress)
    return Simulation(
        kind=kind, scene=world, preset=preset, radiance=radiance, lenses=tuple(lenses),
        settings=tuple(_settings(kind, camera, shot) for shot in shots), pupils=pupils,
        names=tuple(shot.name for shot in shots), registered=registered, reference=reference,
        truth=true_inverse_depth(world, lenses[reference], size),
        noise=Noise(noise, READ_NOISE) if noise else None, seed=seed,
        side="far" if kind == "aperture-pair" else None, kappa=IDEAL_KAPPA if kind == "dual-pixel" else None,
        roles=tuple(shot.role for shot in shots) if kind == "differential-quad" else None,
    )


def _paired(kind, preset):
    """(kind, preset), each the one that suits the other where it is None."""
    if kind is not None and kind not in SHOTS:
        raise ValueError(f"kind ({kind!r}) must be one of {', '.join(SHOTS)}")
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"preset ({preset!r}) must be one of {', '.join(PRESETS)}")
    kind = kind or ("focal-stack" if preset is None else PRESETS[preset].kind)
    return kind, preset or DEFAULT_PRESETS[kind]


def _check(size, noise, kind, frames):
    if len(size) != 2 or min(size) < 2:
        raise ValueError(f"size ({'x'.join(map(str, size))} px) must be two numbers of at least 2 px, height and width")
    megapixels = math.prod(size) / 1e6
    if megapixels > _MOST_MP:
        raise ValueError(f"size ({size[1]} x {size[0]} px, {megapixels:.3g} MP) must be at most {_MOST_MP} MP, as all "
                         "frames are held in memory; choose a smaller size")
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise ({noise:g} electrons at white) must be positive, or 0 for none")
    if frames is not None and kind != "focal-stack":
        raise ValueError(f"frames ({frames}) applies to a focal stack only; kind {kind} has its own number of images")
    if frames is not None and frames < 2:
        raise ValueError(f"frames ({frames}) of a focal stack must be at least 2")


def _settings(kind, preset, shot):
    """What the camera says of one shot: exposure time follows the pupil so that all frames are equally bright."""
    lens = shot.lens
    exposure = _BASE_EXPOSURE * (preset.focal_length / preset.f_number / lens.pupil_diameter) ** 2

    def value(number):
        return Value(float(number), source="simulator")

    common = {"file": shot.name, "make": "dfd", "model": "simulator", "pixel_pitch": value(lens.pixel_pitch),
              "exposure": value(exposure), "iso": value(100)}
    if kind == "differential-quad" or preset.image_distance is not None:
        return CameraSettings(**common, power=value(lens.power), image_distance=value(lens.image_distance),
                              pupil_diameter=value(lens.pupil_diameter))
    return CameraSettings(**common, focal_length=value(lens.focal_length), f_number=value(lens.f_number),
                          focus_distance=value(1 / lens.focus))
